// The memory budget shared by all requests, for bodies and what is parsed from them.

import { getHeapStatistics } from 'node:v8';
import type { GatewayConfig } from '../config/config.ts';
import { largestBodiesMin } from '../config/config.ts';
import { LimitReached } from './limit-reached.ts';

/** Bodies are released with their answers, so a refused client may retry soon. */
const retryAfterS = 1;

/** Share of V8's heap limit. */
const heapShare = 0.25;
/** The setting, or a default that fits this process's heap. */
export function bodiesBytesMax(config: Pick<GatewayConfig, 'bodiesBytesMax' | 'bodyBytesMax'>): number {
  if (config.bodiesBytesMax !== 'auto') return config.bodiesBytesMax;
  return Math.max(heapShare * getHeapStatistics().heap_size_limit, largestBodiesMin * config.bodyBytesMax);
}

export class BodyBudget {
  readonly #bytesMax: () => number;
  #heldBytes = 0;

  constructor(bytesMax: () => number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** An empty lease for one body. */
  lease(): BodyLease {
    let ownBytes = 0;
    let released = false;
    const hold = (bytes: number): void => {
      this.#heldBytes += bytes - ownBytes;
      ownBytes = bytes;
    };
    return {
      get bytes() {
        return ownBytes;
      },
      growTo: (bytes) => {
        if (bytes <= ownBytes && !released) return;
        const bytesMax = this.#bytesMax();
        if (bytes > shareMax(bytesMax, 0)) throw tooLarge();
        if (bytes > shareMax(bytesMax, this.#heldBytes - ownBytes) || released) throw exceeded();
        hold(bytes);
      },
      release: () => {
        released = true;
        hold(0);
      },
    };
  }
}

/** The memory that one request holds. Its owner must release it however the request ends. */
export interface BodyLease {
  readonly bytes: number;
  /** @throws LimitReached 503 if it does not fit now, 413 if it never can */
  growTo(bytes: number): void;
  /** Releases everything; later calls do nothing. */
  release(): void;
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
