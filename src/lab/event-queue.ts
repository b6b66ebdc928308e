// Event queue of virtual time: a binary heap by time (in any unit), then rank, then order of insertion.

export class EventQueue<T> {
  readonly #times: number[] = [];
  readonly #order: number[] = [];
  readonly #items: T[] = [];
  #pushed = 0;

  get size(): number {
    return this.#items.length;
  }

  /** Time of the first item. Infinity if the queue is empty. O(1) */
  get nextAt(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  /** O(log n) @param rank 0 .. 15; lower ranks go first at equal times */
  push(time: number, rank: number, item: T): void {
    let at = this.#items.length;
    const order = rank * 2 ** 48 + this.#pushed++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#isAfter(parent, time, order)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, time, order, item);
  }

  /** Removes and returns the first item. Undefined if the queue is empty. O(log n) */
  pop(): T | undefined {
    const first = this.#items[0];
    const item = this.#items.pop();
    if (item === undefined) return undefined;
    const time = this.#times.pop()!;
    const order = this.#order.pop()!;
    const size = this.#items.length;
    if (size === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isAfter(child, this.#times[child + 1]!, this.#order[child + 1]!)) child++;
      if (this.#isAfter(child, time, order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, time, order, item);
    return first;
  }

  #isAfter(at: number, time: number, order: number): boolean {
    const difference = this.#times[at]! - time;
    return difference !== 0 ? difference > 0 : this.#order[at]! > order;
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from]!, this.#order[from]!, this.#items[from]!);
  }

  #put(at: number, time: number, order: number, item: T): void {
    this.#times[at] = time;
    this.#order[at] = order;
    this.#items[at] = item;
  }
}
