// Numbering of content blocks: dense ids, in order of first appearance.

import { assert } from '../core/assert.ts';

const idsMax = 2 ** 31 - 1;

/** Allocates the block ids of one workload. */
export class BlockNumbering {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  next(): number {
    assert(this.#count < idsMax, 'a workload has fewer than 2^31 content blocks');
    return this.#count++;
  }

  /** Allocates `count` consecutive ids. */
  run(count: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.next());
  }

  /** `blockIds` extended with new ids to `length` blocks. Returns `blockIds` itself if it is long enough. */
  extend(blockIds: Int32Array, length: number): Int32Array {
    if (blockIds.length >= length) return blockIds;
    const extended = new Int32Array(length);
    extended.set(blockIds);
    extended.set(this.run(length - blockIds.length), blockIds.length);
    return extended;
  }
}

/** Parent of a first block. */
const rootNumber = -1;

/**
 * Numbers the blocks of one source by their id in the source and the preceding block. If the source's ids are chained,
 * each id gets one number. If an id identifies only the block's content, equal content after different prefixes gets
 * different numbers.
 */
export class ChainNumbering {
  readonly #numbering: BlockNumbering;
  /** Source id -> its first number. */
  readonly #first = new Map<number, number>();
  /** Number -> preceding block, for the numbers in `#first`. */
  readonly #parents = new Map<number, number>();
  /** `parent,id` -> number, for source ids seen after more than one block. */
  readonly #others = new Map<string, number>();

  constructor(numbering: BlockNumbering) {
    this.#numbering = numbering;
  }

  /** Numbers of a prompt's blocks. */
  chain(sourceIds: ArrayLike<number>): Int32Array {
    const numbers = new Int32Array(sourceIds.length);
    let parent = rootNumber;
    for (let i = 0; i < numbers.length; i++) {
      parent = this.#number(parent, sourceIds[i]!);
      numbers[i] = parent;
    }
    return numbers;
  }

  /**
   * Gives a chain of blocks the numbers of equal content in other sources. Stops at a block that has another number
   * already.
   */
  adopt(sourceIds: readonly number[], numbers: Int32Array): void {
    let parent = rootNumber;
    for (const [i, sourceId] of sourceIds.entries()) {
      const number = numbers[i]!;
      const known = this.#first.get(sourceId);
      if (known === undefined) {
        this.#first.set(sourceId, number);
        this.#parents.set(number, parent);
      } else if (known !== number) return;
      parent = number;
    }
  }

  #number(parent: number, sourceId: number): number {
    const first = this.#first.get(sourceId);
    if (first === undefined) {
      const number = this.#numbering.next();
      this.#first.set(sourceId, number);
      this.#parents.set(number, parent);
      return number;
    }
    if (this.#parents.get(first) === parent) return first;
    const key = `${parent},${sourceId}`;
    const other = this.#others.get(key) ?? this.#numbering.next();
    this.#others.set(key, other);
    return other;
  }
}
