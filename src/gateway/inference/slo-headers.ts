// The SLO that a client states for its request in headers: wanted TTFT and TPOT.
//
// Any client may state an SLO, whatever its key grants: it chooses no worker, changes no weight of the cost and
// overrides no priority. Workers predicted to meet it are preferred; if none is, the request is placed without it.

import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';

export interface Slo {
  /** Wanted time from the arrival of the request to its first token. */
  readonly ttftMs?: number;
  /** Wanted mean time per output token after the first. */
  readonly tpotMs?: number;
}

/** Own names first, then those of llm-d, its older ones last. The first one present counts. */
const ttftHeaders: readonly string[] = ['x-kvoyant-ttft-ms', 'x-llm-d-slo-ttft-ms', 'x-slo-ttft-ms'];
const tpotHeaders: readonly string[] = ['x-kvoyant-tpot-ms', 'x-llm-d-slo-tpot-ms', 'x-slo-tpot-ms'];

/** One hour. */
const sloMsMax = 3_600_000;

/** Null if the request states none. @throws RequestError 400 naming the header */
export function readSlo(exchange: Pick<Exchange, 'header'>): Slo | null {
  const ttftMs = readMs(exchange, ttftHeaders);
  const tpotMs = readMs(exchange, tpotHeaders);
  if (ttftMs === null && tpotMs === null) return null;
  return { ...(ttftMs !== null && { ttftMs }), ...(tpotMs !== null && { tpotMs }) };
}

function readMs(exchange: Pick<Exchange, 'header'>, names: readonly string[]): number | null {
  for (const name of names) {
    const text = exchange.header(name);
    if (text === null) continue;
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (value > 0 && value <= sloMsMax) return value;
    const message = `${name} must be a number of milliseconds above 0 and at most ${sloMsMax}`;
    throw new RequestError(400, 'invalid_value', message, name);
  }
  return null;
}
