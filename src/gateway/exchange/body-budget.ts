// The memory budget shared by all requests, for bodies and what is parsed from them.

import { getHeapStatistics } from 'node:v8';
import type { GatewayConfig } from '../config/config.ts';
import { largestBodiesMin } from '../config/config.ts';
import { LimitReached } from './limit-reached.ts';

/** Bodies are released with their answers, so a refused client may retry soon. */
const retryAfterS = 1;

/** Share of V8's heap limit. */
const heapShare = 0.25;
/** Asked once: bodies need it several times for each request. */
const heapBytesMax = getHeapStatistics().heap_size_limit;
/** The setting, or a default that fits this process's heap. */
export function bodiesBytesMax(config: Pick<GatewayConfig, 'bodiesBytesMax' | 'bodyBytesMax'>): number {
  if (config.bodiesBytesMax !== 'auto') return config.bodiesBytesMax;
  return Math.max(heapShare * heapBytesMax, largestBodiesMin * config.bodyBytesMax);
}

/** The memory of all leases. */
interface Held {
  bytes: number;
}

export class BodyBudget {
  readonly #bytesMax: () => number;
  readonly #held: Held = { bytes: 0 };

  constructor(bytesMax: () => number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** An empty lease for one body. */
  lease(): BodyLease {
    return new BodyLease(this.#held, this.#bytesMax);
  }
}

/** The memory that one request holds. Its owner must release it however the request ends. */
export class BodyLease {
  readonly #held: Held;
  readonly #bytesMax: () => number;
  #ownBytes = 0;
  #released = false;

  constructor(held: Held, bytesMax: () => number) {
    this.#held = held;
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#ownBytes;
  }

  /** @throws LimitReached 503 if it does not fit now, 413 if it never can */
  growTo(bytes: number): void {
    if (bytes <= this.#ownBytes && !this.#released) return;
    const bytesMax = this.#bytesMax();
    if (bytes > shareMax(bytesMax, 0)) throw tooLarge();
    if (bytes > shareMax(bytesMax, this.#held.bytes - this.#ownBytes) || this.#released) throw exceeded();
    this.#hold(bytes);
  }

  /** Gives back all but so much; a smaller lease stays as it is. */
  shrinkTo(bytes: number): void {
    this.#hold(Math.min(bytes, this.#ownBytes));
  }

  /** Releases everything; later calls do nothing. */
  release(): void {
    this.#released = true;
    this.#hold(0);
  }

  #hold(bytes: number): void {
    this.#held.bytes += bytes - this.#ownBytes;
    this.#ownBytes = bytes;
  }
}

/** The most one request may hold: half of its size must stay free, so that large bodies leave room for small ones. */
function shareMax(bytesMax: number, othersBytes: number): number {
  return ((bytesMax - othersBytes) * 2) / 3;
}

function tooLarge(): LimitReached {
  const message = 'the request needs more memory than a single request may use';
  return new LimitReached('bodiesBytesMax', 413, 'body_too_large', message);
}

function exceeded(): LimitReached {
  const message = 'the requests in flight use all the memory allowed for bodies';
  return new LimitReached('bodiesBytesMax', 503, 'bodies_too_large_together', message, retryAfterS);
}
