// What a single request may set about its own routing, by header.

import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../http/exchange.ts';

export interface RoutingOverrides {
  readonly overlapWeight?: number;
  readonly temperature?: number;
  /** Comes before the `priority` of the body, which some engines refuse; null: not given. */
  readonly priority: number | null;
  /** Id of the worker that the request must go to; null: any. */
  readonly pin: string | null;
  /** Comes before what the body says of the session; null: not given. */
  readonly session: string | null;
}

export const pinHeader = 'x-kvoyant-pin';

const valueMax = 1e6;
/** Those of a 32-bit integer, as in engines that take a priority. */
export const priorityMin: number = -(2 ** 31);
export const priorityMax: number = 2 ** 31 - 1;

/** @throws RequestError 400 naming the header. */
export function readOverrides(exchange: Exchange): RoutingOverrides {
  const overlapWeight = readNumber(exchange, 'x-kvoyant-overlap-weight');
  const temperature = readNumber(exchange, 'x-kvoyant-temperature');
  const session = exchange.header('x-kvoyant-session');
  return {
    ...(overlapWeight !== null && { overlapWeight }),
    ...(temperature !== null && { temperature }),
    priority: readPriority(exchange),
    pin: exchange.header(pinHeader),
    session: session === null || session === '' ? null : `session:${session}`,
  };
}

function readPriority(exchange: Exchange): number | null {
  const header = 'x-kvoyant-priority';
  const text = exchange.header(header);
  if (text === null) return null;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isInteger(value) && value >= priorityMin && value <= priorityMax) return value;
  const message = `${header} must be an integer from ${priorityMin} to ${priorityMax}`;
  throw new RequestError(400, 'invalid_value', message, header);
}

function readNumber(exchange: Exchange, header: string): number | null {
  const text = exchange.header(header);
  if (text === null) return null;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!(value >= 0 && value <= valueMax)) {
    throw new RequestError(400, 'invalid_value', `${header} must be a number from 0 to ${valueMax}`, header);
  }
  return value;
}
