// Block hashes of a simulated engine: the interface, and a cheap hash for virtual time.

/** Hashes the full blocks of one sequence in order. Keeps the state that the next block's hash depends on. */
export interface SequenceHasher {
  /** Writes the hash of the next block, tokens[from] .. tokens[to - 1], to out[at] (low word) and out[at + 1] (high). */
  next(tokens: Uint32Array, from: number, to: number, out: Uint32Array, at: number): void;
}

/** A prompt given by hashes without tokens. `hasher` is called for each block that `hashes` lacks, in turn. */
export interface HashedPrompt {
  readonly tokenCount: number;
  /** Two words (low, high) for each full block of the prompt. They must not change while the request is live. */
  readonly hashes?: Uint32Array;
  /** Produces our own sequence hashes. Reads no tokens. */
  readonly hasher: SequenceHasher;
}

/** Starts a sequence. Adapter and salt distinguish equal tokens. */
export type BlockHash = (lora: string | null, salt: string | null) => SequenceHasher;

/** A chained 64-bit mix: not cryptographic, a few nanoseconds per token. */
export const mixBlockHash: BlockHash = (lora, salt) => new MixHasher(`${lora ?? ''}\0${salt ?? ''}`);

class MixHasher implements SequenceHasher {
  #low = 0x243f6a88;
  #high = 0x85a308d3;

  constructor(key: string) {
    for (let i = 0; i < key.length; i++) this.#add(key.charCodeAt(i));
  }

  next(tokens: Uint32Array, from: number, to: number, out: Uint32Array, at: number): void {
    for (let i = from; i < to; i++) this.#add(tokens[i]!);
    out[at] = this.#low;
    out[at + 1] = this.#high;
  }

  #add(word: number): void {
    const low = Math.imul(this.#low ^ word, 0x9e3779b1);
    const high = Math.imul(this.#high ^ (low >>> 15), 0x85ebca6b);
    this.#low = (low ^ (high >>> 13)) >>> 0;
    this.#high = (high + word) >>> 0;
  }
}
