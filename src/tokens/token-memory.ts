// Memory for the token ids of one request, used again for the next: memory of its own would be garbage, which V8 counts
// against its heap.

const idsMax = 65_536;

/** One owner at a time; others get none. */
export class TokenMemory {
  #space: Uint32Array | null = null;
  #owner: object | null = null;
  /** Ids that the owner has taken. */
  #taken = 0;

  /** @returns memory with any content, valid until `giveBack`; null: there is none left */
  take(owner: object, count: number): Uint32Array | null {
    if (this.#owner !== null && this.#owner !== owner) return null;
    if (this.#taken + count > idsMax) return null;
    this.#space ??= new Uint32Array(idsMax);
    this.#owner = owner;
    this.#taken += count;
    return this.#space.subarray(this.#taken - count, this.#taken);
  }

  /** Without effect unless it is the owner. */
  giveBack(owner: object): void {
    if (this.#owner !== owner) return;
    this.#owner = null;
    this.#taken = 0;
  }
}
