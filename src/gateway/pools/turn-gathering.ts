// Gathers the items of one turn of the event loop and passes them on together at the end of the turn.
//
// There is no timer: a single item is passed on as soon as the callbacks of its turn have run.

/** Items passed on together. The next one begins a new group. */
const gatheredMax = 1024;

export class TurnGathering<T> {
  readonly #handOn: (items: readonly T[]) => void;
  #items: T[] = [];

  /** @param handOn must not throw */
  constructor(handOn: (items: readonly T[]) => void) {
    this.#handOn = handOn;
  }

  add(item: T): void {
    if (this.#items.length === gatheredMax) this.#flush();
    if (this.#items.length === 0) setImmediate(() => this.#flush());
    this.#items.push(item);
  }

  #flush(): void {
    const items = this.#items;
    this.#items = [];
    if (items.length > 0) this.#handOn(items);
  }
}
