// Placements of sessions, told to the other replicas: the next request of a session may come to any of them.

import { createHash } from 'node:crypto';
import { z } from 'zod';

const pinsVersion = 1;
/** Placements per message; further ones of the same moment are not told. */
export const pinsMax = 4096;
const workerLengthMax = 4096;
const workersMax = 4096;

/** Characters of a session's name among replicas: 96 bits. */
const nameLength = 16;

/** Names sessions by a hash: clients' own names do not leave the process. */
export function sessionName(key: string): string {
  return createHash('sha256').update(key).digest('base64url').slice(0, nameLength);
}

const message = z.object({
  version: z.literal(pinsVersion),
  workers: z.array(z.string().max(workerLengthMax)).max(workersMax),
  pins: z.array(z.tuple([z.string().length(nameLength), z.int().min(0)])).max(pinsMax),
});

export class SessionPins {
  /** Session name -> worker id, since the last message. */
  readonly #placed = new Map<string, string>();
  #untold = 0;

  /** Placements not told because there were too many. */
  get untold(): number {
    return this.#untold;
  }

  placed(session: string, workerId: string): void {
    if (this.#placed.size < pinsMax) this.#placed.set(session, workerId);
    else this.#untold += 1;
  }

  /** The placements since the last call; null: none. */
  take(): Uint8Array | null {
    if (this.#placed.size === 0) return null;
    const workers = [...new Set(this.#placed.values())];
    const at = new Map(workers.map((worker, index) => [worker, index]));
    const pins = [...this.#placed].map(([session, worker]) => [session, at.get(worker)]);
    this.#placed.clear();
    return new TextEncoder().encode(JSON.stringify({ version: pinsVersion, workers, pins }));
  }
}

/** @param placed called for each placement @returns false: not a message of this version */
export function readPins(bytes: Uint8Array, placed: (session: string, workerId: string) => void): boolean {
  const { data } = message.safeParse(parsed(bytes));
  if (data === undefined) return false;
  for (const [session, at] of data.pins) {
    const worker = data.workers[at];
    if (worker !== undefined) placed(session, worker);
  }
  return true;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
}
