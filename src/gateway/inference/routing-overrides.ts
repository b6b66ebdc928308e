// The routing options that a single request may set by header.

import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { type ClientRights, permitted, priorityMax, priorityMin } from './client-rights.ts';
import type { InferenceRequest } from './request-intake.ts';
import { readSlo, type Slo } from './slo-headers.ts';

export interface RoutingOverrides {
  readonly overlapWeight?: number;
  readonly temperature?: number;
  /** Lower goes first among requests that wait for a worker. */
  readonly priority: number;
  /** Worker id, or its client id, that the request must go to; null: any worker. */
  readonly pin: string | null;
  /** Key shared by related requests, separate for each API key; null if there is none. */
  readonly session: string | null;
  readonly slo?: Slo;
}

export const pinHeader = 'x-kvoyant-pin';

const valueMax = 1e6;
/**
 * Reads the overrides. Headers that the client may not use are ignored.
 * @param request fields of the body that apply where a header is absent
 * @throws RequestError 400 naming the header
 */
export function readOverrides(
  exchange: Exchange,
  { priority, session }: Pick<InferenceRequest, 'priority' | 'session'>,
  rights: ClientRights,
): RoutingOverrides {
  const ranks = rights.priorityMin !== rights.priorityMax;
  const slo = readSlo(exchange);
  const common = {
    priority: permitted(rights, (ranks ? readPriority(exchange) : null) ?? priority),
    session: sessionOf(exchange, session),
    ...(slo !== null && { slo }),
  };
  if (!rights.routing) return { pin: null, ...common };
  const overlapWeight = readNumber(exchange, 'x-kvoyant-overlap-weight');
  const temperature = readNumber(exchange, 'x-kvoyant-temperature');
  return {
    pin: exchange.header(pinHeader),
    ...common,
    ...(overlapWeight !== null && { overlapWeight }),
    ...(temperature !== null && { temperature }),
  };
}

/** Separate for each API key; null if there is none. @param ofBody the body's, if it has one */
export function sessionOf(exchange: Exchange, ofBody: string | null): string | null {
  const header = exchange.header('x-kvoyant-session');
  const session = header === null || header === '' ? ofBody : `session:${header}`;
  return session === null || exchange.key === null ? session : `${exchange.key.name} ${session}`;
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
