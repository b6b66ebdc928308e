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
    const order = this.#pushed++;
    let hole = this.#items.length;
    this.#dueMs.push(dueMs);
    this.#order.push(order);
    this.#items.push(item);
    while (hole > 0) {
      const parent = (hole - 1) >>> 1;
      // Of equal times the one that was pushed last is due last.
      if (this.#dueMs[parent]! <= dueMs) break;
      this.#move(parent, hole);
      hole = parent;
    }
    this.#set(hole, dueMs, order, item);
  }

  /** Removes and returns the earliest item that is due at `nowMs`. Undefined if none is. O(log n) */
  popDue(nowMs: number): T | undefined {
    const first = this.#items[0];
    if (first === undefined || this.#dueMs[0]! > nowMs) return undefined;
    const item = this.#items.pop()!;
    const dueMs = this.#dueMs.pop()!;
    const order = this.#order.pop()!;
    const size = this.#items.length;
    if (size === 0) return first;
    let hole = 0;
    for (let child = 1; child < size; child = 2 * hole + 1) {
      if (child + 1 < size && this.#isBefore(child + 1, this.#dueMs[child]!, this.#order[child]!)) child++;
      if (!this.#isBefore(child, dueMs, order)) break;
      this.#move(child, hole);
      hole = child;
    }
    this.#set(hole, dueMs, order, item);
    return first;
  }

  #isBefore(at: number, dueMs: number, order: number): boolean {
    return this.#dueMs[at]! < dueMs || (this.#dueMs[at]! === dueMs && this.#order[at]! < order);
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#dueMs[from]!, this.#order[from]!, this.#items[from]!);
  }

  #set(at: number, dueMs: number, order: number, item: T): void {
    this.#dueMs[at] = dueMs;
    this.#order[at] = order;
    this.#items[at] = item;
  }
}
