// The merges of a byte-pair encoding, in both of their forms: by token, or by pairs of ids.

import { hashBytes, type Vocabulary } from './vocabulary.ts';

/** Rank of a pair that does not merge: after all others. */
export const noMerge = 0x7fffffff;

/** Which neighbours merge, in what order, into which token. */
export interface Merges {
  /** Null in tiktoken's form. */
  readonly pairs: PairTables | null;
  /** Rank of the merge of two bytes, or `noMerge`. The lowest comes first. */
  byteRank(first: number, second: number): number;
  /**
   * Rank of the merge of two neighbours, or `noMerge`.
   * @param left id of the first, which starts at `start` in `bytes`
   * @param right id of the second, which ends at `end`
   */
  rank(left: number, right: number, bytes: Uint8Array, start: number, end: number): number;
  /** The token that the merge of this rank produces. */
  token(rank: number): number;
}

/** tiktoken's form: two neighbours merge if their concatenation is a token, whose id is the rank. */
export class TokenMerges implements Merges {
  readonly pairs = null;
  readonly #vocabulary: Vocabulary;
  /** Rank by first byte * 256 + second. */
  readonly #byteRanks: Uint32Array;

  /** @param vocabulary that finds all of its tokens */
  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    const pair = new Uint8Array(2);
    this.#byteRanks = Uint32Array.from({ length: 65536 }, (_, index) => {
      pair[0] = index >> 8;
      pair[1] = index & 0xff;
      return this.#rankOf(pair, 0, 2);
    });
  }

  byteRank(first: number, second: number): number {
    return this.#byteRanks[first * 256 + second]!;
  }

  rank(_left: number, _right: number, bytes: Uint8Array, start: number, end: number): number {
    return end - start > this.#vocabulary.tokenBytesMax ? noMerge : this.#rankOf(bytes, start, end);
  }

  token(rank: number): number {
    return rank;
  }

  #rankOf(bytes: Uint8Array, start: number, end: number): number {
    const id = this.#vocabulary.find(bytes, start, end, hashBytes(bytes, start, end));
    return id === -1 ? noMerge : id;
  }
}

/** The merges of a Hugging Face file, in arrays that can be stored and shared between threads. */
export interface PairTables {
  /** Three words per slot: id of the left token + 1 (0: empty), id of the right one, rank. */
  readonly pairs: Uint32Array;
  /** The token that each rank produces. */
  readonly tokens: Uint32Array;
}

/** For a pair that is listed twice the later rank counts. @param lefts by rank, as are `rights` and `tokens` */
export function pairTables(lefts: Uint32Array, rights: Uint32Array, tokens: Uint32Array): PairTables {
  const capacity = 1 << Math.ceil(Math.log2((tokens.length + 1) * 1.6));
  const pairs = new Uint32Array(capacity * 3);
  for (let rank = 0; rank < tokens.length; rank++) {
    const left = lefts[rank]! + 1;
    const right = rights[rank]!;
    let at = (hashPair(left - 1, right) & (capacity - 1)) * 3;
    while (pairs[at] !== 0 && (pairs[at] !== left || pairs[at + 1] !== right))
      at = at + 3 === pairs.length ? 0 : at + 3;
    pairs[at] = left;
    pairs[at + 1] = right;
    pairs[at + 2] = rank;
  }
  return { pairs, tokens };
}

/** Hugging Face's form: a list of pairs of tokens, ranked by position. */
export class PairMerges implements Merges {
  readonly pairs: PairTables;
  readonly #pairs: Uint32Array;
  readonly #slotMask: number;
  readonly #tokens: Uint32Array;
  /** Rank by first byte * 256 + second. */
  readonly #byteRanks: Uint32Array;

  constructor(tables: PairTables, vocabulary: Vocabulary) {
    this.pairs = tables;
    this.#pairs = tables.pairs;
    this.#slotMask = tables.pairs.length / 3 - 1;
    this.#tokens = tables.tokens;
    this.#byteRanks = new Uint32Array(65536);
    for (let index = 0; index < 65536; index++) {
      this.#byteRanks[index] = this.rank(vocabulary.byteId(index >> 8), vocabulary.byteId(index & 0xff));
    }
  }

  byteRank(first: number, second: number): number {
    return this.#byteRanks[first * 256 + second]!;
  }

  rank(left: number, right: number): number {
    const pairs = this.#pairs;
    const wanted = left + 1;
    for (let slot = hashPair(left, right) & this.#slotMask; ; slot = (slot + 1) & this.#slotMask) {
      const at = slot * 3;
      const found = pairs[at]!;
      if (found === 0) return noMerge;
      if (found === wanted && pairs[at + 1] === right) return pairs[at + 2]!;
    }
  }

  token(rank: number): number {
    return this.#tokens[rank]!;
  }
}

function hashPair(left: number, right: number): number {
  let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca77);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x2c1b3c6d) >>> 0;
}
