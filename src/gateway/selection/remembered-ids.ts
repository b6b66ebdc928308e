// Remembers what became of ids, up to a number and an age.

interface Memory<T> {
  readonly what: T;
  readonly sinceMs: number;
}

export class RememberedIds<T> {
  readonly #countMax: number;
  readonly #ageMsMax: number;
  /** Oldest first. */
  readonly #ids = new Map<string, Memory<T>>();

  /** @param countMax beyond it the oldest is forgotten */
  constructor(countMax: number, ageMsMax: number) {
    this.#countMax = countMax;
    this.#ageMsMax = ageMsMax;
  }

  get size(): number {
    return this.#ids.size;
  }

  /** Keeps the first time of an id that it knows already. @returns false: the oldest was forgotten early for it */
  add(id: string, what: T, nowMs: number): boolean {
    this.#age(nowMs);
    if (this.#ids.has(id)) return true;
    this.#ids.set(id, { what, sinceMs: nowMs });
    if (this.#ids.size <= this.#countMax) return true;
    this.#ids.delete(this.#ids.keys().next().value!);
    return false;
  }

  /** Null: it is not known, or no longer. */
  get(id: string, nowMs: number): T | null {
    this.#age(nowMs);
    return this.#ids.get(id)?.what ?? null;
  }

  delete(id: string): void {
    this.#ids.delete(id);
  }

  /** Amortized O(1). */
  #age(nowMs: number): void {
    for (const [id, { sinceMs }] of this.#ids) {
      if (nowMs - sinceMs < this.#ageMsMax) return;
      this.#ids.delete(id);
    }
  }
}
