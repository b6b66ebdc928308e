// The memory budget shared by all buffered parts of engines' answers.

import type { MemoryHold } from '../../wire/byte-collector.ts';
import { LimitReached } from './limit-reached.ts';

/** Limit over all answers: incomplete events, streams before their first token, bodies whose usage is read at the end. */
export const answersBytesMax: number = 64 * 1024 * 1024;

/** The memory of all leases. */
interface Held {
  bytes: number;
}

export class AnswerBudget {
  readonly #bytesMax: number;
  readonly #held: Held = { bytes: 0 };

  constructor(bytesMax: number = answersBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#held.bytes;
  }

  /** An empty hold for one answer. */
  lease(): AnswerLease {
    return new AnswerLease(this.#held, this.#bytesMax);
  }

  /** The same for memory that an answer can do without: half of the budget is not for it. */
  spareLease(): AnswerLease {
    return new AnswerLease(this.#held, this.#bytesMax / 2, this.#bytesMax);
  }
}

/** The memory held for one answer. */
export class AnswerLease implements MemoryHold {
  readonly #held: Held;
  readonly #bytesMax: number;
  readonly #toldBytesMax: number;
  #ownBytes = 0;

  /** @param bytesMax what all leases may hold for this one to grow @param toldBytesMax the limit that errors name */
  constructor(held: Held, bytesMax: number, toldBytesMax: number = bytesMax) {
    this.#held = held;
    this.#bytesMax = bytesMax;
    this.#toldBytesMax = toldBytesMax;
  }

  /** @throws LimitReached 502 if there is no room */
  take(bytes: number): void {
    // Half of its size must stay free, so that large answers leave room for small ones.
    const shareMax = ((this.#bytesMax - this.#held.bytes + this.#ownBytes) * 2) / 3;
    if (this.#ownBytes + bytes > shareMax) throw exceeded(this.#toldBytesMax);
    this.#ownBytes += bytes;
    this.#held.bytes += bytes;
  }

  give(bytes: number): void {
    const given = Math.min(bytes, this.#ownBytes);
    this.#ownBytes -= given;
    this.#held.bytes -= given;
  }

  /** To be called however the answer ends; later calls do nothing. */
  release(): void {
    this.#held.bytes -= this.#ownBytes;
    this.#ownBytes = 0;
  }
}

function exceeded(bytesMax: number): LimitReached {
  const message = `the buffered parts of all answers have reached answersBytesMax (${bytesMax} bytes)`;
  return new LimitReached('answersBytesMax', 502, 'answers_too_large_together', message);
}
