// Errors of the selection service that more than one place reports.

import { RequestError } from '../../wire/openai-error.ts';
import { type Placeable, unplaceable } from '../inference/admission-applicant.ts';
import { noWorkers } from '../pools/pools.ts';
import type { EndKind } from './reservation-table.ts';

export function deletedFirst(id: string): RequestError {
  const message = `the reservation ${JSON.stringify(id)} was deleted before it was made: nothing is booked`;
  return new RequestError(410, 'reservation_deleted', message, 'id');
}

const endings: Readonly<Record<EndKind, string>> = {
  released: 'it was deleted',
  leaked: 'no call came before its lease ended',
  'worker-removed': 'its worker was removed',
  'connection-closed': 'the connection that held it was closed',
};

export function ended(id: string, how: EndKind): RequestError {
  const code = `reservation_${how.replaceAll('-', '_')}`;
  return new RequestError(410, code, `the reservation ${JSON.stringify(id)} has ended: ${endings[how]}`, 'id');
}

export function callerGone(): RequestError {
  return new RequestError(503, 'caller_gone', 'the caller went away before the reservation was made');
}

export function noWorker(intake: Placeable, excluded: ReadonlySet<number>): RequestError {
  if (excluded.size === 0) return unplaceable(intake);
  return noWorkers(`none that serves ${JSON.stringify(intake.model)} is ready and not excluded`);
}
