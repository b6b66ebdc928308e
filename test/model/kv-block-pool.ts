// Naive twin of the block pool: an array of free blocks, and an array of each block's content.

export class NaiveBlockPool {
  readonly free: number[];
  readonly references: number[];
  readonly held: (string | null)[];
  /** Blocks that hold content, in the order in which they got it. */
  readonly heldSince: number[] = [];
  readonly evicted: string[] = [];
  readonly #freeUnhashedFirst: boolean;

  constructor(blockCount: number, freeUnhashedFirst: boolean) {
    this.free = Array.from({ length: blockCount - 1 }, (_, index) => index + 1);
    this.references = new Array<number>(blockCount).fill(0);
    this.held = new Array<string | null>(blockCount).fill(null);
    this.#freeUnhashedFirst = freeUnhashedFirst;
  }

  find(content: string): number {
    return this.heldSince.find((block) => this.held[block] === content) ?? 0;
  }

  touch(block: number): void {
    if (this.references[block] === 0) this.free.splice(this.free.indexOf(block), 1);
    this.references[block]!++;
  }

  allocate(): number {
    const block = this.free.shift()!;
    this.references[block] = 1;
    const content = this.held[block] ?? null;
    if (content !== null) {
      this.evicted.push(content);
      this.held[block] = null;
      this.heldSince.splice(this.heldSince.indexOf(block), 1);
    }
    return block;
  }

  cache(block: number, content: string): void {
    this.held[block] = content;
    this.heldSince.push(block);
  }

  release(block: number): void {
    this.references[block]!--;
    if (this.references[block]! > 0) return;
    if (this.#freeUnhashedFirst && this.held[block] === null) this.free.unshift(block);
    else this.free.push(block);
  }

  clear(): boolean {
    if (this.references.some((count) => count > 0)) return false;
    this.held.fill(null);
    this.heldSince.length = 0;
    return true;
  }
}
