// Trees of the pages of coarse blocks, in one typed array: each page links to the page above it and those below it.

import { assert } from '../assert.ts';

export const NO_PAGE = 0;

/**
 * Word offsets in a page's slot: chain hash (two words), block hash (two words, see `block`), then one word each, then
 * the tokens.
 */
export const CHAIN = 0;
const BLOCK = 2;
const HANDLES = 4;
const ABOVE = 5;
const FIRST_BELOW = 6;
const NEXT_BELOW = 7;
const PREVIOUS_BELOW = 8;
const POSITION = 9;
const FLAGS = 10;
const TOKENS = 11;

/** Flag: the page completes its block. */
const ENDS = 1;
/** Flag: the block contains more than tokens, up to and including this page. */
const MIXED = 2;

const pagesMin = 16;

/** Pages are numbered from 1. The number of a removed page is reused. */
export class PageTree {
  readonly #pageSize: number;
  readonly #stride: number;
  #slots: Uint32Array;
  #count = 1;
  /** First of the removed pages, which are linked by `ABOVE`. */
  #firstFree = NO_PAGE;

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
    this.#stride = TOKENS + pageSize;
    this.#slots = new Uint32Array(pagesMin * this.#stride);
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Adds the first page of a block. @param blockAbove sequence hash of the block before it */
  addFirst(blockAbove: Uint32Array, chain: Uint32Array, tokens: Uint32Array): number {
    const page = this.#take();
    const at = page * this.#stride;
    this.#slots.set(chain, at + CHAIN);
    this.#slots.set(blockAbove, at + BLOCK);
    this.#slots.set(tokens, at + TOKENS);
    return page;
  }

  /** Adds a page below `above`, in the same block. */
  addBelow(above: number, chain: Uint32Array, tokens: Uint32Array): number {
    assert(!this.endsBlock(above), 'nothing is below the last page of a block');
    const page = this.addFirst(this.block(above), chain, tokens);
    const slots = this.#slots;
    const at = page * this.#stride;
    const atAbove = above * this.#stride;
    const next = slots[atAbove + FIRST_BELOW]!;
    slots[at + ABOVE] = above;
    slots[at + POSITION] = slots[atAbove + POSITION]! + 1;
    slots[at + FLAGS] = slots[atAbove + FLAGS]! & MIXED;
    slots[at + NEXT_BELOW] = next;
    slots[atAbove + FIRST_BELOW] = page;
    if (next !== NO_PAGE) slots[next * this.#stride + PREVIOUS_BELOW] = page;
    return page;
  }

  /** @param page must be unheld, with no page below it */
  remove(page: number): void {
    assert(!this.isHeld(page) && this.firstBelow(page) === NO_PAGE, 'a page in use stays');
    const slots = this.#slots;
    const at = page * this.#stride;
    const above = slots[at + ABOVE]!;
    const next = slots[at + NEXT_BELOW]!;
    const previous = slots[at + PREVIOUS_BELOW]!;
    if (next !== NO_PAGE) slots[next * this.#stride + PREVIOUS_BELOW] = previous;
    if (previous !== NO_PAGE) slots[previous * this.#stride + NEXT_BELOW] = next;
    else if (above !== NO_PAGE) slots[above * this.#stride + FIRST_BELOW] = next;
    slots.fill(0, at, at + this.#stride);
    slots[at + ABOVE] = this.#firstFree;
    this.#firstFree = page;
  }

  clear(): void {
    this.#slots = new Uint32Array(pagesMin * this.#stride);
    this.#count = 1;
    this.#firstFree = NO_PAGE;
  }

  /** @returns how many handles the page has now */
  addHandle(page: number, change: 1 | -1): number {
    const at = page * this.#stride + HANDLES;
    this.#slots[at] = this.#slots[at]! + change;
    return this.#slots[at]!;
  }

  isHeld(page: number): boolean {
    return this.#slots[page * this.#stride + HANDLES]! > 0;
  }

  /** Whether the page and all pages above it in its block are held. True for NO_PAGE, where a block begins. */
  isPathHeld(page: number): boolean {
    let at = page;
    while (at !== NO_PAGE && this.isHeld(at)) at = this.above(at);
    return at === NO_PAGE;
  }

  above(page: number): number {
    return this.#slots[page * this.#stride + ABOVE]!;
  }

  firstBelow(page: number): number {
    return this.#slots[page * this.#stride + FIRST_BELOW]!;
  }

  nextBelow(page: number): number {
    return this.#slots[page * this.#stride + NEXT_BELOW]!;
  }

  /** Position of the page in its block, from 0. */
  position(page: number): number {
    return this.#slots[page * this.#stride + POSITION]!;
  }

  /** Two words (low, high). */
  words(page: number, field: number): Uint32Array {
    const at = page * this.#stride + field;
    return this.#slots.slice(at, at + 2);
  }

  /** Sequence hash of the page's block if the page completes it, otherwise of the block before it. */
  block(page: number): Uint32Array {
    return this.words(page, BLOCK);
  }

  endsBlock(page: number): boolean {
    return (this.#slots[page * this.#stride + FLAGS]! & ENDS) !== 0;
  }

  endBlock(page: number, sequenceHash: Uint32Array): void {
    this.#slots.set(sequenceHash, page * this.#stride + BLOCK);
    this.#slots[page * this.#stride + FLAGS]! |= ENDS;
  }

  isMixed(page: number): boolean {
    return (this.#slots[page * this.#stride + FLAGS]! & MIXED) !== 0;
  }

  mix(page: number): void {
    this.#slots[page * this.#stride + FLAGS]! |= MIXED;
  }

  tokens(page: number): Uint32Array {
    const at = page * this.#stride + TOKENS;
    return this.#slots.subarray(at, at + this.#pageSize);
  }

  #take(): number {
    if (this.#firstFree === NO_PAGE) {
      if (this.#slots.length < (this.#count + 1) * this.#stride) {
        const larger = new Uint32Array(2 * this.#slots.length);
        larger.set(this.#slots);
        this.#slots = larger;
      }
      return this.#count++;
    }
    const page = this.#firstFree;
    const at = page * this.#stride + ABOVE;
    this.#firstFree = this.#slots[at]!;
    this.#slots[at] = NO_PAGE;
    return page;
  }
}
