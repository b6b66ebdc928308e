// Numbers for content blocks: dense, in order of first appearance.
import { assert } from '../core/assert.ts';

const idsMax = 2 ** 31 - 1;

/** Hands out the ids of one workload. */
export class BlockNumbering {
  #count = 0;

  get count(): number {
    return this.#count;
  }

  next(): number {
    assert(this.#count < idsMax, 'a workload has fewer than 2^31 content blocks');
    return this.#count++;
  }

  /** `count` new ids, one after another. */
  run(count: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.next());
  }

  /** `blockIds`, continued by new ids up to `length` blocks; itself where it has them already. */
  extend(blockIds: Int32Array, length: number): Int32Array {
    if (blockIds.length >= length) return blockIds;
    const extended = new Int32Array(length);
    extended.set(blockIds);
    extended.set(this.run(length - blockIds.length), blockIds.length);
    return extended;
  }
}

/** The parent of a first block. */
const ROOT = -1;

/**
 * Numbers the blocks of one source by the id that they have there and by the block before. Where the source's ids are
 * chained, that is one number for each of them; where they name a block's content alone, equal content behind unequal
 * prefixes gets unequal numbers.
 */
export class ChainNumbering {
  readonly #numbering: BlockNumbering;
  /** Source id -> the number that it got first. */
  readonly #first = new Map<number, number>();
  /** Number -> the block before, for the numbers in `#first`. */
  readonly #parents = new Map<number, number>();
  /** Source ids met behind more than one block, as `parent,id`. */
  readonly #others = new Map<string, number>();

  constructor(numbering: BlockNumbering) {
    this.#numbering = numbering;
  }

  /** Numbers of a prompt's blocks. */
  chain(sourceIds: ArrayLike<number>): Int32Array {
    const numbers = new Int32Array(sourceIds.length);
    let parent = ROOT;
    for (let i = 0; i < numbers.length; i++) {
      parent = this.#number(parent, sourceIds[i]!);
      numbers[i] = parent;
    }
    return numbers;
  }

  /** Gives a chain of blocks the numbers that equal content has in other sources, up to one that has another already. */
  adopt(sourceIds: readonly number[], numbers: Int32Array): void {
    let parent = ROOT;
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
