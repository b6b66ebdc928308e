// What a client may set about the placing of its requests: at whose cost it jumps the queue or fills a worker matters.

import type { ApiKey } from '../config/api-keys.ts';
import { isLoopback } from '../config/config.ts';

export interface ClientRights {
  /** Lower goes first. */
  readonly priorityMin: number;
  readonly priorityMax: number;
  /** It may pin a request to a worker, and weigh the terms of the cost. */
  readonly routing: boolean;
}

/** Those of a 32-bit integer, as in engines that take a priority. */
export const priorityMin: number = -(2 ** 31);
export const priorityMax: number = 2 ** 31 - 1;

const all: ClientRights = { priorityMin, priorityMax, routing: true };
const none: ClientRights = { priorityMin: 0, priorityMax: 0, routing: false };

/** Where no keys are set, clients on the same machine trust each other; others do not. @param host the gateway's own */
export function rightsOf(key: ApiKey | null, host: string): ClientRights {
  if (key === null) return isLoopback(host) ? all : none;
  const [min, max] = key.priorities ?? [0, 0];
  return { priorityMin: min, priorityMax: max, routing: key.routing };
}

/** The nearest that it may have. */
export function permitted({ priorityMin: min, priorityMax: max }: ClientRights, priority: number): number {
  return Math.min(max, Math.max(min, priority));
}
