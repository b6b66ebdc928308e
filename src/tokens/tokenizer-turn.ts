// What the texts of one request may take of the calling thread, and whether anybody still waits for them.

/** Text that is tokenized in the calling thread: 2 ms as a rule, tens of ms at the very worst. */
export const inlineCharsMax = 65_536;

/** One a request, for all of its texts. */
export class TokenizerTurn {
  #inlineCharsLeft = inlineCharsMax;
  #onEnd: (() => void) | null = null;
  #ended = false;

  /** Nobody waits any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether a text of that length may be done in the calling thread, beside those before it. */
  takeInline(chars: number): boolean {
    if (chars > this.#inlineCharsLeft) return false;
    this.#inlineCharsLeft -= chars;
    return true;
  }

  /** What is still waiting is given up. */
  end(): void {
    this.#ended = true;
    this.#onEnd?.();
  }

  /** Calls back once it ends; the newest callback replaces the one before. */
  whenEnded(callback: () => void): void {
    this.#onEnd = callback;
  }
}
