// Gives numbers to blocks so that the blocks of a chain get numbers in a row, also when a chain comes in pieces.

export const noBlock = -1;
/** In place of the block before: none, and others will come behind. */
export const newChain = -2;

const groupBits = 5;
export const groupSize: number = 1 << groupBits;
/** All bits of a group. Signed words are small integers of V8: those from 2^31 would be objects on the heap. */
const full = -1;

/** Flags of a group. */
const inEmpty = 1;
const inPartial = 2;

export class BlockNumbers {
  /** Numbers are smaller. A multiple of `groupSize`. */
  #capacity = 0;
  #size = 0;
  /** A bit for each number in use, a word for each group. */
  #taken: Int32Array = new Int32Array(0);
  /** Which of the two lists a group is in, at most once in each. */
  #flags: Uint8Array = new Uint8Array(0);
  /** All groups without a number in use, and others that are skipped when their turn comes. */
  readonly #empty: number[] = [];
  /** All groups with numbers in use and free ones, and others that are skipped. */
  readonly #partial: number[] = [];

  constructor(capacity = 0) {
    this.grow(capacity);
  }

  /** Numbers in use. */
  get size(): number {
    return this.#size;
  }

  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#taken.byteLength + this.#flags.byteLength;
  }

  has(number: number): boolean {
    return ((this.#taken[number >>> groupBits]! >>> (number & (groupSize - 1))) & 1) === 1;
  }

  /** @param capacity a multiple of `groupSize`, not less than before. O(capacity) */
  grow(capacity: number): void {
    const groups = capacity >>> groupBits;
    const taken = new Int32Array(groups);
    const flags = new Uint8Array(groups);
    taken.set(this.#taken);
    flags.set(this.#flags);
    for (let group = groups - 1; group >= this.#taken.length; group--) {
      this.#empty.push(group);
      flags[group] = inEmpty;
    }
    this.#taken = taken;
    this.#flags = flags;
    this.#capacity = capacity;
  }

  /**
   * The number behind `before` if it is free, otherwise the first of an empty group.
   * @param before a number, `noBlock` or `newChain`
   * @returns `noBlock` if there is neither
   */
  takeInRow(before: number): number {
    const next = before + 1;
    if (before >= 0 && next < this.#capacity && !this.has(next)) return this.#take(next);
    const empty = this.#empty;
    while (empty.length > 0) {
      const group = empty.pop()!;
      this.#flags[group]! &= ~inEmpty;
      if (this.#taken[group] === 0) return this.#take(group << groupBits);
    }
    return noBlock;
  }

  /** A free number of a group that others use. @returns `noBlock` if there is none. O(1) amortized */
  takeAny(): number {
    const partial = this.#partial;
    for (;;) {
      if (partial.length === 0) return noBlock;
      const group = partial.at(-1)!;
      const taken = this.#taken[group]!;
      const free = ~taken;
      if (free !== 0 && taken !== 0) return this.#take((group << groupBits) + 31 - Math.clz32(free & -free));
      partial.pop();
      this.#flags[group]! &= ~inPartial;
    }
  }

  free(number: number): void {
    const group = number >>> groupBits;
    const before = this.#taken[group]!;
    this.#taken[group] = before & ~(1 << (number & (groupSize - 1)));
    this.#size--;
    if (before === full) this.#listPartial(group);
    if (this.#taken[group] === 0 && (this.#flags[group]! & inEmpty) === 0) {
      this.#flags[group]! |= inEmpty;
      this.#empty.push(group);
    }
  }

  #take(number: number): number {
    const group = number >>> groupBits;
    if (this.#taken[group] === 0) this.#listPartial(group);
    this.#taken[group]! |= 1 << (number & (groupSize - 1));
    this.#size++;
    return number;
  }

  #listPartial(group: number): void {
    if ((this.#flags[group]! & inPartial) !== 0) return;
    this.#flags[group]! |= inPartial;
    this.#partial.push(group);
  }
}

/** The capacity rounded up. */
export function wholeGroups(capacity: number): number {
  return Math.ceil(capacity / groupSize) * groupSize;
}
