// Reads the JSON body of a request whose prompt is not tokenized; a very large one by a thread.

import type { Span } from '../../wire/json-members.ts';
import type { ModelReading } from '../../wire/json-model.ts';
import { limitPriority } from '../../wire/limit-priority.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { makeRoomForJson, makeRoomInTurns } from '../exchange/json-weight.ts';
import { type ClientRights, permitted } from './client-rights.ts';
import type { InferenceContext } from './inference-context.ts';
import { readMeasuredJson } from './measured-json.ts';
import { editedOr } from './read-request.ts';
import { readHereBytesMax } from './request-fields.ts';

export interface MeasuredBody {
  readonly reading: ModelReading;
  /** With a permitted priority. */
  readonly body: Buffer;
  /** Where the body names the model; null: nowhere; absent: not looked for. */
  readonly modelAt?: Span | null;
}

/** @returns null if the client is gone @throws RequestError */
export async function readMeasuredBody(
  { intakeSlices, readingThread }: Pick<InferenceContext, 'intakeSlices' | 'readingThread'>,
  exchange: Exchange,
  body: Buffer,
  rights: ClientRights,
): Promise<MeasuredBody | null> {
  const contentType = exchange.header('content-type');
  const turn = async (): Promise<void> => intakeSlices.take() ?? undefined;
  if (body.length > readHereBytesMax) {
    await makeRoomInTurns(body, exchange.lease, turn);
    const read = await readingThread.read({ kind: 'measured', contentType, rights }, body, exchange);
    return read === null ? null : { ...read, body: editedOr(body, read.edited) };
  }
  makeRoomForJson(body, exchange.lease);
  const reading = await readMeasuredJson(body, contentType, turn);
  if (reading.kind === 'wrong') return { reading, body };
  return { reading, body: limitPriority(body, (priority) => permitted(rights, priority)) };
}
