// The memory budget shared by all buffered parts of engines' answers.

import type { MemoryHold } from '../../wire/byte-collector.ts';
import { LimitReached } from './limit-reached.ts';

/** Limit over all answers: incomplete events, streams before their first token, bodies whose usage is read at the end. */
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

  /** An empty hold for one answer. */
  lease(): AnswerLease {
    return this.#lease(this.#bytesMax);
  }

  /** The same for memory that an answer can do without: half of the budget is not for it. */
  spareLease(): AnswerLease {
    return this.#lease(this.#bytesMax / 2);
  }

  #lease(bytesMax: number): AnswerLease {
    let ownBytes = 0;
    return {
      take: (bytes) => {
        // Half of its size must stay free, so that large answers leave room for small ones.
        const shareMax = ((bytesMax - this.#heldBytes + ownBytes) * 2) / 3;
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

/** The memory held for one answer. Its `take` throws LimitReached 502 if there is no room. */
export interface AnswerLease extends MemoryHold {
  /** To be called however the answer ends; later calls do nothing. */
  release(): void;
}

function exceeded(bytesMax: number): LimitReached {
  const message = `the buffered parts of all answers have reached answersBytesMax (${bytesMax} bytes)`;
  return new LimitReached('answersBytesMax', 502, 'answers_too_large_together', message);
}
