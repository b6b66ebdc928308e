// Trees of the pages of coarse blocks, in one typed array: each page links to the page above it and those below it.

import { assert } from '../assert.ts';

export const noPage = 0;

/**
 * Word offsets in a page's slot: chain hash (two words), block hash (two words, see `block`), then one word each, then
 * the tokens.
 */
export const chainOffset = 0;
const blockOffset = 2;
const handlesOffset = 4;
const aboveOffset = 5;
const firstBelowOffset = 6;
const nextBelowOffset = 7;
const previousBelowOffset = 8;
const positionOffset = 9;
const flagsOffset = 10;
const tokensOffset = 11;

/** Flag: the page completes its block. */
const endsFlag = 1;
/** Flag: the block contains more than tokens, up to and including this page. */
const mixedFlag = 2;

const pagesMin = 16;

/** Pages are numbered from 1. The number of a removed page is reused. */
export class PageTree {
  readonly #pageSize: number;
  readonly #stride: number;
  #slots: Uint32Array;
  #count = 1;
  /** First of the removed pages, which are linked by `aboveOffset`. */
  #firstFree = noPage;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
    this.#stride = tokensOffset + pageSize;
    this.#slots = new Uint32Array(pagesMin * this.#stride);
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Adds the first page of a block. @param blockAbove sequence hash of the block before it */
  addFirst(blockAbove: Uint32Array, chain: Uint32Array, tokens: Uint32Array): number {
    const page = this.#take();
    const at = page * this.#stride;
    this.#slots.set(chain, at + chainOffset);
    this.#slots.set(blockAbove, at + blockOffset);
    this.#slots.set(tokens, at + tokensOffset);
    return page;
  }

  /** Adds a page below `above`, in the same block. */
  addBelow(above: number, chain: Uint32Array, tokens: Uint32Array): number {
    assert(!this.endsBlock(above), 'the last page of a block has no page below it');
    const page = this.addFirst(this.block(above), chain, tokens);
    const slots = this.#slots;
    const at = page * this.#stride;
    const atAbove = above * this.#stride;
    const next = slots[atAbove + firstBelowOffset]!;
    slots[at + aboveOffset] = above;
    slots[at + positionOffset] = slots[atAbove + positionOffset]! + 1;
    slots[at + flagsOffset] = slots[atAbove + flagsOffset]! & mixedFlag;
    slots[at + nextBelowOffset] = next;
    slots[atAbove + firstBelowOffset] = page;
    if (next !== noPage) slots[next * this.#stride + previousBelowOffset] = page;
    return page;
  }

  /** @param page must be unheld, with no page below it */
  remove(page: number): void {
    assert(!this.isHeld(page) && this.firstBelow(page) === noPage, 'a page in use is not removed');
    const slots = this.#slots;
    const at = page * this.#stride;
    const above = slots[at + aboveOffset]!;
    const next = slots[at + nextBelowOffset]!;
    const previous = slots[at + previousBelowOffset]!;
    if (next !== noPage) slots[next * this.#stride + previousBelowOffset] = previous;
    if (previous !== noPage) slots[previous * this.#stride + nextBelowOffset] = next;
    else if (above !== noPage) slots[above * this.#stride + firstBelowOffset] = next;
    slots.fill(0, at, at + this.#stride);
    slots[at + aboveOffset] = this.#firstFree;
    this.#firstFree = page;
  }

  clear(): void {
    this.#slots = new Uint32Array(pagesMin * this.#stride);
    this.#count = 1;
    this.#firstFree = noPage;
  }

  /** @returns how many handles the page has now */
  addHandle(page: number, change: 1 | -1): number {
    const at = page * this.#stride + handlesOffset;
    this.#slots[at] = this.#slots[at]! + change;
    return this.#slots[at]!;
  }

  isHeld(page: number): boolean {
    return this.#slots[page * this.#stride + handlesOffset]! > 0;
  }

  /** Whether the page and all pages above it in its block are held. True for `noPage`, the root of a block. */
  isPathHeld(page: number): boolean {
    let at = page;
    while (at !== noPage && this.isHeld(at)) at = this.above(at);
    return at === noPage;
  }

  above(page: number): number {
    return this.#slots[page * this.#stride + aboveOffset]!;
  }

  firstBelow(page: number): number {
    return this.#slots[page * this.#stride + firstBelowOffset]!;
  }

  nextBelow(page: number): number {
    return this.#slots[page * this.#stride + nextBelowOffset]!;
  }

  /** Position of the page in its block, from 0. */
  position(page: number): number {
    return this.#slots[page * this.#stride + positionOffset]!;
  }

  /** Two words (low, high). */
  words(page: number, field: number): Uint32Array {
    const at = page * this.#stride + field;
    return this.#slots.slice(at, at + 2);
  }

  /** Sequence hash of the page's block if the page completes it, otherwise of the block before it. */
  block(page: number): Uint32Array {
    return this.words(page, blockOffset);
  }

  endsBlock(page: number): boolean {
    return (this.#slots[page * this.#stride + flagsOffset]! & endsFlag) !== 0;
  }

  endBlock(page: number, sequenceHash: Uint32Array): void {
    this.#slots.set(sequenceHash, page * this.#stride + blockOffset);
    this.#slots[page * this.#stride + flagsOffset]! |= endsFlag;
  }

  isMixed(page: number): boolean {
    return (this.#slots[page * this.#stride + flagsOffset]! & mixedFlag) !== 0;
  }

  mix(page: number): void {
    this.#slots[page * this.#stride + flagsOffset]! |= mixedFlag;
  }

  tokens(page: number): Uint32Array {
    const at = page * this.#stride + tokensOffset;
    return this.#slots.subarray(at, at + this.#pageSize);
  }

  #take(): number {
    if (this.#firstFree === noPage) {
      if (this.#slots.length < (this.#count + 1) * this.#stride) {
        const larger = new Uint32Array(2 * this.#slots.length);
        larger.set(this.#slots);
        this.#slots = larger;
      }
      return this.#count++;
    }
    const page = this.#firstFree;
    const at = page * this.#stride + aboveOffset;
    this.#firstFree = this.#slots[at]!;
    this.#slots[at] = noPage;
    return page;
  }
}
