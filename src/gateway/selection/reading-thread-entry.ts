// The thread that reads large bodies of the selection service.

import { serveReadings } from '../inference/serve-readings.ts';
import { AskedHere } from './asked.ts';
import { batchOf } from './asked-batch.ts';
import { type CrossingAsked, type SelectionReading, type SelectionTask, toCross } from './crossing.ts';
import { bodyFields } from './read-fields.ts';

serveReadings<SelectionTask, SelectionReading>(function* ({ kind }, body, memory) {
  const fields = bodyFields(body);
  yield;
  yield* fields.steps();
  if (kind === 'operation') return { kind, asked: toCross(new AskedHere(fields), memory) };
  const batch: (CrossingAsked | null)[] = [];
  for (const asked of batchOf(fields)) {
    yield;
    batch.push(asked === null ? null : toCross(asked, memory));
  }
  return { kind, batch };
});
