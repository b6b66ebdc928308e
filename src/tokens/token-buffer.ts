// A growing list of token ids that encoders append to.

/** Capacity beyond this is not kept. */
const keptTokensMax = 1 << 20;

/** Reused between calls. */
export class TokenBuffer {
  length = 0;
  #tokens: Uint32Array = new Uint32Array(16_384);

  /** The backing array, with capacity for `count` ids after `length`; write there, then raise `length`. */
  reserve(count: number): Uint32Array {
    const needed = this.length + count;
    if (needed > this.#tokens.length) {
      const grown = new Uint32Array(Math.max(needed, this.#tokens.length * 2));
      grown.set(this.#tokens.subarray(0, this.length));
      this.#tokens = grown;
    }
    return this.#tokens;
  }

  append(ids: Uint32Array): void {
    this.reserve(ids.length).set(ids, this.length);
    this.length += ids.length;
  }

  push(id: number): void {
    this.reserve(1)[this.length++] = id;
  }

  /** Copies all ids. @param to of this length */
  copyTo(to: Uint32Array): Uint32Array {
    to.set(this.#tokens.subarray(0, this.length));
    return to;
  }

  /** A copy of the ids from `from` on. */
  copyFrom(from: number): Uint32Array {
    return this.#tokens.slice(from, this.length);
  }

  /** Drops the ids, and the capacity for very many of them. */
  clear(): void {
    this.length = 0;
    if (this.#tokens.length > keptTokensMax) this.#tokens = new Uint32Array(keptTokensMax);
  }
}
