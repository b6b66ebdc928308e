// Caches the token ids of merged words in a fixed number of slots that newer words overwrite.

const slotCountMax = 32_768;
/** Longer words are not cached: they rarely recur. */
const wordBytesMax = 48;
const wordTokensMax = 16;

/**
 * A word has one slot, by its hash: no probing, so no chosen words make it slow, and no clean-up, so its memory is
 * constant (about 4 MB). Exact: the bytes are compared.
 */
export class WordCache {
  readonly #hashes: Uint32Array = new Uint32Array(slotCountMax);
  /** 0: empty slot. */
  readonly #lengths: Uint8Array = new Uint8Array(slotCountMax);
  readonly #bytes: Uint8Array = new Uint8Array(slotCountMax * wordBytesMax);
  readonly #tokenCounts: Uint8Array = new Uint8Array(slotCountMax);
  readonly #tokens: Uint32Array = new Uint32Array(slotCountMax * wordTokensMax);

  /**
   * Writes the ids of `bytes[start..end)` to `out` at `at`.
   * @param hash the word's `hashBytes`
   * @returns the position after them, or -1 if the word is not cached
   */
  read(bytes: Uint8Array, start: number, end: number, hash: number, out: Uint32Array, at: number): number {
    const slot = hash & (slotCountMax - 1);
    const length = end - start;
    if (this.#hashes[slot] !== hash || this.#lengths[slot] !== length) return -1;
    const own = slot * wordBytesMax;
    for (let index = 0; index < length; index++) {
      if (this.#bytes[own + index] !== bytes[start + index]) return -1;
    }
    const tokens = slot * wordTokensMax;
    const count = this.#tokenCounts[slot]!;
    for (let index = 0; index < count; index++) out[at + index] = this.#tokens[tokens + index]!;
    return at + count;
  }

  /** Stores that `bytes[start..end)` is `tokens[from..to)`, unless the word is too long. */
  write(
    bytes: Uint8Array,
    start: number,
    end: number,
    hash: number,
    tokens: Uint32Array,
    from: number,
    to: number,
  ): void {
    const length = end - start;
    const count = to - from;
    if (length > wordBytesMax || count > wordTokensMax) return;
    const slot = hash & (slotCountMax - 1);
    this.#hashes[slot] = hash;
    this.#lengths[slot] = length;
    this.#tokenCounts[slot] = count;
    for (let index = 0; index < length; index++) this.#bytes[slot * wordBytesMax + index] = bytes[start + index]!;
    for (let index = 0; index < count; index++) this.#tokens[slot * wordTokensMax + index] = tokens[from + index]!;
  }
}
