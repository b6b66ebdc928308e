// What one request's texts may use: the calling thread, memory for their ids, and for how long.

import type { TokenMemory } from './token-memory.ts';

/** Text tokenized in the calling thread: usually 2 ms, tens of ms in the worst case. Without the kernel it is a quarter. */
export const inlineCharsMax = 65_536;

/** One per request, for all of its texts. */
export class TokenizerTurn {
  #inlineCharsLeft = inlineCharsMax;
  readonly #memory: TokenMemory | null;
  #onEnd: (() => void) | null = null;
  #ended = false;

  /** @param memory for the ids of texts that are tokenized in the calling thread; null: each gets memory of its own */
  constructor(memory: TokenMemory | null = null) {
    this.#memory = memory;
  }

  /** The request no longer waits. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether a text of this length may be tokenized in the calling thread, after those before it. */
  takeInline(chars: number): boolean {
    if (chars > this.#inlineCharsLeft) return false;
    this.#inlineCharsLeft -= chars;
    return true;
  }

  /** Ids have no memory of their own. */
  get lends(): boolean {
    return this.#memory !== null;
  }

  /** For `count` ids. They must not be read after `idsRead`. */
  room(count: number): Uint32Array {
    return this.#memory?.take(this, count) ?? new Uint32Array(count);
  }

  /** The memory of its ids is used again. */
  idsRead(): void {
    this.#memory?.giveBack(this);
  }

  /** Cancels waiting tasks. */
  end(): void {
    this.#ended = true;
    this.#onEnd?.();
  }

  /** Calls back when it ends. A new callback replaces the previous one. */
  whenEnded(callback: () => void): void {
    this.#onEnd = callback;
  }
}
