// What a single request may set about its own routing, by header.

import { RequestError } from '../wire/openai-error.ts';
import type { Exchange } from './exchange.ts';

export interface RoutingOverrides {
  readonly overlapWeight?: number;
  readonly temperature?: number;
}

const valueMax = 1e6;

/** @throws RequestError 400 naming the header. */
export function readOverrides(exchange: Exchange): RoutingOverrides {
  const overlapWeight = readNumber(exchange, 'x-kvoyant-overlap-weight');
  const temperature = readNumber(exchange, 'x-kvoyant-temperature');
  return { ...(overlapWeight !== null && { overlapWeight }), ...(temperature !== null && { temperature }) };
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
