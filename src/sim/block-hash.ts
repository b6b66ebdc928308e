// How an engine names the content of its blocks: the contract, and a cheap hash for virtual time.

/** Hashes the full blocks of one sequence, first to last; keeps what the next block's hash depends on. */
export interface SequenceHasher {
  /** Writes the hash of the next block, tokens[from] .. tokens[to - 1], to out[at] (low word) and out[at + 1] (high). */
  next(tokens: Uint32Array, from: number, to: number, out: Uint32Array, at: number): void;
}

/** A prompt known by its hashes alone, without tokens; `hasher` is asked block after block, for the output, too. */
export interface HashedPrompt {
  readonly tokenCount: number;
  /** Its hashes are our own sequence hashes. Looks at no token. */
  readonly hasher: SequenceHasher;
}

/** Starts a sequence. Adapter and salt keep equal tokens apart. */
export type BlockHash = (lora: string | null, salt: string | null) => SequenceHasher;

/** A chained 64-bit mix: no cryptographic strength, a few nanoseconds a token. */
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
