// Timer queue: a binary heap of (due time, item), earliest first, equal times in order of insertion.

export class DueQueue<T> {
  readonly #dueMs: number[] = [];
  readonly #order: number[] = [];
  readonly #items: T[] = [];
  #pushed = 0;

  get size(): number {
    return this.#items.length;
  }

  /** O(log n) */
  push(dueMs: number, item: T): void {
    this.#dueMs.push(dueMs);
    this.#order.push(this.#pushed++);
    this.#items.push(item);
    let child = this.#items.length - 1;
    while (child > 0) {
      const parent = (child - 1) >>> 1;
      if (!this.#before(child, parent)) break;
      this.#swap(child, parent);
      child = parent;
    }
  }

  /** Removes and returns the earliest item that is due at `nowMs`. Undefined if none is. O(log n) */
  popDue(nowMs: number): T | undefined {
    const first = this.#items[0];
    if (first === undefined || this.#dueMs[0]! > nowMs) return undefined;
    this.#swap(0, this.#items.length - 1);
    this.#items.pop();
    this.#dueMs.pop();
    this.#order.pop();
    let parent = 0;
    for (;;) {
      let least = parent;
      for (let child = 2 * parent + 1; child <= 2 * parent + 2; child++) {
        if (child < this.#items.length && this.#before(child, least)) least = child;
      }
      if (least === parent) return first;
      this.#swap(parent, least);
      parent = least;
    }
  }

  #before(a: number, b: number): boolean {
    const difference = this.#dueMs[a]! - this.#dueMs[b]!;
    return difference !== 0 ? difference < 0 : this.#order[a]! < this.#order[b]!;
  }

  #swap(a: number, b: number): void {
    swap(this.#dueMs, a, b);
    swap(this.#order, a, b);
    swap(this.#items, a, b);
  }
}

function swap<T>(values: T[], a: number, b: number): void {
  const held = values[a]!;
  values[a] = values[b]!;
  values[b] = held;
}
