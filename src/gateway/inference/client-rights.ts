// The routing rights of a client: which priorities it may use, and whether it may pin workers and change weights.

import type { ApiKey } from '../config/api-keys.ts';
import { isThisMachine } from '../config/listen-address.ts';

export interface ClientRights {
  /** Lower goes first. */
  readonly priorityMin: number;
  readonly priorityMax: number;
  /** May pin a request to a worker and set the cost's weights. */
  readonly routing: boolean;
}

/** The range of a 32-bit integer, as engines take it. */
export const priorityMin: number = -(2 ** 31);
export const priorityMax: number = 2 ** 31 - 1;

const all: ClientRights = { priorityMin, priorityMax, routing: true };
const none: ClientRights = { priorityMin: 0, priorityMax: 0, routing: false };

/** The last answer of `isThisMachine`, which parses an address: every request asks for the same. */
let listener = { host: '', isHere: false };

/**
 * Without API keys, clients have all rights if only this machine can reach the gateway, and none otherwise.
 * @param host the address the gateway listens on
 */
export function rightsOf(key: ApiKey | null, host: string): ClientRights {
  if (key === null) {
    if (listener.host !== host) listener = { host, isHere: isThisMachine(host) };
    return listener.isHere ? all : none;
  }
  const [min, max] = key.priorities ?? [0, 0];
  return { priorityMin: min, priorityMax: max, routing: key.routing };
}

/** Clamps the priority to the permitted range. */
export function permitted({ priorityMin: min, priorityMax: max }: ClientRights, priority: number): number {
  return Math.min(max, Math.max(min, priority));
}
