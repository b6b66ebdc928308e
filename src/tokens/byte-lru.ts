// A map that evicts its least recently used entries above a limit in bytes.

/** The caller defines entry sizes. An entry larger than the limit is not stored. */
export class ByteLru<Value> {
  readonly bytesMax: number;
  readonly #sizeOf: (key: string, value: Value) => number;
  #bytes = 0;
  /** Least recently used first. */
  readonly #entries = new Map<string, Value>();

  /** @param sizeOf bytes of an entry; must not change over time */
  constructor(bytesMax: number, sizeOf: (key: string, value: Value) => number) {
    this.bytesMax = bytesMax;
    this.#sizeOf = sizeOf;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Adds a key that must not be present. */
  set(key: string, value: Value): void {
    const bytes = this.#sizeOf(key, value);
    if (bytes > this.bytesMax) return;
    this.#entries.set(key, value);
    this.#bytes += bytes;
    while (this.#bytes > this.bytesMax) this.#dropOldest();
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #dropOldest(): void {
    for (const [key, value] of this.#entries) {
      this.#entries.delete(key);
      this.#bytes -= this.#sizeOf(key, value);
      return;
    }
  }
}
