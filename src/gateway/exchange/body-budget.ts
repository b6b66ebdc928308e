// The memory that requests take, all together, as bodies and as what is read from them: what each one may have of it.

import { getHeapStatistics } from 'node:v8';
import type { GatewayConfig } from '../config/config.ts';
import { largestBodiesMin } from '../config/config.ts';
import { LimitReached } from './limit-reached.ts';

/** A client that is refused may come again: bodies leave with their answers. */
const retryAfterS = 1;

/** Of what the heap may grow to. */
const heapShare = 0.3;
/** As it is set, or as this process allows. */
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

  /** For one body; of no bytes at first. */
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

/** What one request holds. Whoever has taken it releases it, however the request ends. */
export interface BodyLease {
  readonly bytes: number;
  /** @throws LimitReached 503 if it does not fit now, 413 if it never will */
  growTo(bytes: number): void;
  /** Once or several times; nothing is held any more. */
  release(): void;
}

/** Half of it must stay free beside: a few large bodies leave room for many small ones. */
function shareMax(bytesMax: number, othersBytes: number): number {
  return ((bytesMax - othersBytes) * 2) / 3;
}

function tooLarge(): LimitReached {
  const message = 'the request takes more memory than a single one may';
  return new LimitReached('bodiesBytesMax', 413, 'body_too_large', message);
}

function exceeded(): LimitReached {
  const message = 'the bodies of requests under way take as much memory as they may';
  return new LimitReached('bodiesBytesMax', 503, 'bodies_too_large_together', message, retryAfterS);
}
