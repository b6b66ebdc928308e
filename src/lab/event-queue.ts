// Event queue of virtual time: by time (in any unit), then rank, then order of insertion.
//
// Items that are pushed in order of time, such as the arrivals of a workload, stand in a list; the others in a binary
// heap, which then has a few items instead of thousands.

export class EventQueue<T> {
  readonly #times: number[] = [];
  readonly #order: number[] = [];
  readonly #items: T[] = [];
  /** The list: items `#listFirst` and later. Each is due after the one before it. */
  readonly #listTimes: number[] = [];
  readonly #listOrder: number[] = [];
  readonly #listItems: T[] = [];
  #listFirst = 0;
  #pushed = 0;

  get size(): number {
    return this.#items.length + this.#listItems.length - this.#listFirst;
  }

  /** Time of the first item. Infinity if the queue is empty. O(1) */
  get nextAt(): number {
    const heap = this.#times.length > 0 ? this.#times[0]! : Number.POSITIVE_INFINITY;
    const list =
      this.#listFirst < this.#listTimes.length ? this.#listTimes[this.#listFirst]! : Number.POSITIVE_INFINITY;
    return heap < list ? heap : list;
  }

  /** O(log n) @param rank 0 .. 15; lower ranks go first at equal times */
  push(time: number, rank: number, item: T): void {
    const order = rank * 2 ** 48 + this.#pushed++;
    if (this.#followsList(time, order)) this.#append(time, order, item);
    else this.#rise(this.#items.length, time, order, item);
  }

  /** Removes and returns the first item. Undefined if the queue is empty. O(log n) */
  pop(): T | undefined {
    const first = this.#listFirst;
    if (first === this.#listItems.length) return this.#popHeap();
    const isHeapFirst = this.#items.length > 0 && !this.#isAfter(0, this.#listTimes[first]!, this.#listOrder[first]!);
    if (isHeapFirst) return this.#popHeap();
    this.#listFirst++;
    return this.#listItems[first];
  }

  /** Whether the item is due after the last of the list. An empty list takes items only while the heap is empty. */
  #followsList(time: number, order: number): boolean {
    const last = this.#listItems.length - 1;
    if (last < this.#listFirst) return this.#items.length === 0;
    const difference = time - this.#listTimes[last]!;
    return difference !== 0 ? difference > 0 : order > this.#listOrder[last]!;
  }

  #append(time: number, order: number, item: T): void {
    if (this.#listFirst === this.#listItems.length) {
      this.#listFirst = 0;
      this.#listTimes.length = 0;
      this.#listOrder.length = 0;
      this.#listItems.length = 0;
    }
    this.#listTimes.push(time);
    this.#listOrder.push(order);
    this.#listItems.push(item);
  }

  #popHeap(): T | undefined {
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

  /** Puts an item into the heap, from position `end` upwards. */
  #rise(end: number, time: number, order: number, item: T): void {
    let at = end;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.#isAfter(parent, time, order)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, time, order, item);
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
