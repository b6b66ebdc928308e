// Maps an engine's block hashes one-to-one to hashes that only this process can predict.
//
// These hashes key tables whose hash function is public. A publisher could choose hashes that share one slot, so that
// every lookup walks all of them.

import { randomBytes } from 'node:crypto';
import type { KvEvent } from '../../core/index.ts';

export class HandleScrambler {
  readonly #keys: Int32Array;

  /** @param seed 16 secret bytes */
  constructor(seed: Uint8Array = randomBytes(16)) {
    this.#keys = Int32Array.from(new Uint32Array(seed.slice(0, 16).buffer));
  }

  /**
   * In place, two words (low, high) per hash. A Feistel network of three rounds is a permutation, so no two hashes
   * collide.
   */
  scramble(hashes: Uint32Array): void {
    const keys = this.#keys;
    const [first, second, third, odd] = [keys[0]!, keys[1]!, keys[2]!, keys[3]! | 1];
    for (let i = 0; i < hashes.length; i += 2) {
      let low = hashes[i]!;
      let high = hashes[i + 1]!;
      low ^= round(high ^ first, odd);
      high ^= round(low ^ second, odd);
      low ^= round(high ^ third, odd);
      hashes[i] = low;
      hashes[i + 1] = high;
    }
  }

  /** Undoes `scramble`, in place. */
  unscramble(hashes: Uint32Array): void {
    const keys = this.#keys;
    const [first, second, third, odd] = [keys[0]!, keys[1]!, keys[2]!, keys[3]! | 1];
    for (let i = 0; i < hashes.length; i += 2) {
      let low = hashes[i]!;
      let high = hashes[i + 1]!;
      low ^= round(high ^ third, odd);
      high ^= round(low ^ second, odd);
      low ^= round(high ^ first, odd);
      hashes[i] = low;
      hashes[i + 1] = high;
    }
  }
}

function round(word: number, odd: number): number {
  const mixed = Math.imul(word ^ (word >>> 15), odd);
  return Math.imul(mixed ^ (mixed >>> 13), 0x85ebca6b) ^ (mixed >>> 16);
}

/** One for all feeds, since a batch may describe another rank than its publisher's. */
const ofProcess = new HandleScrambler();

/** Scrambles the hashes of an event in place. */
export function scrambleHandles(event: KvEvent): void {
  if (event.kind === 'cleared') return;
  ofProcess.scramble(event.hashes);
  if (event.kind === 'stored' && event.parent !== null) ofProcess.scramble(event.parent);
}

/** The engine's own hashes again, in place: for another process, which has a secret of its own. */
export function unscrambleHandles(hashes: Uint32Array): void {
  ofProcess.unscramble(hashes);
}
