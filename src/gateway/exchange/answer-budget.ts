// The memory that is held of engines' answers, all together: what each one may have of it.

import type { MemoryHold } from '../../wire/byte-collector.ts';
import { LimitReached } from './limit-reached.ts';

/** Of all answers under way: events that are not complete, answers without a first token, bodies whose usage is to be read. */
export const answersBytesMax: number = 64 * 1024 * 1024;

export class AnswerBudget {
  readonly #bytesMax: number;
  #heldBytes = 0;

  constructor(bytesMax: number = answersBytesMax) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** For one answer; of no bytes at first. */
  lease(): AnswerLease {
    let ownBytes = 0;
    return {
      take: (bytes) => {
        // Half of it must stay free beside: a few large answers leave room for many small ones.
        const shareMax = ((this.#bytesMax - this.#heldBytes + ownBytes) * 2) / 3;
        if (ownBytes + bytes > shareMax) throw exceeded(this.#bytesMax);
        ownBytes += bytes;
        this.#heldBytes += bytes;
      },
      give: (bytes) => {
        const given = Math.min(bytes, ownBytes);
        ownBytes -= given;
        this.#heldBytes -= given;
      },
      release: () => {
        this.#heldBytes -= ownBytes;
        ownBytes = 0;
      },
    };
  }
}

/** What is held of one answer. Its `take` throws LimitReached 502 if there is no room. */
export interface AnswerLease extends MemoryHold {
  /** However the answer ends; once or several times. */
  release(): void;
}

function exceeded(bytesMax: number): LimitReached {
  const message = `what is held of the engines' answers has reached answersBytesMax (${bytesMax} bytes)`;
  return new LimitReached('answersBytesMax', 502, 'answers_too_large_together', message);
}
