// The share of the calling thread for one request's texts, and whether the request still waits for them.

/** Text tokenized in the calling thread: usually 2 ms, tens of ms in the worst case. Without the kernel it is a quarter. */
export const inlineCharsMax = 65_536;

/** One per request, for all of its texts. */
export class TokenizerTurn {
  #inlineCharsLeft = inlineCharsMax;
  #onEnd: (() => void) | null = null;
  #ended = false;

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
