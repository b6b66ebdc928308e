// Queue of the requests that an engine has not admitted yet, in order of admission.

import type { EngineRequest } from './engine-request.ts';

/** `fcfs`: by arrival, preempted requests first. `priority`: by priority value, lowest first, then by arrival. */
export type QueueOrder = 'fcfs' | 'priority';

/** Whether `a` goes before `b` under `priority`. */
export function precedes(a: EngineRequest, b: EngineRequest): boolean {
  return a.priority !== b.priority ? a.priority < b.priority : a.id < b.id;
}

export class WaitingQueue {
  readonly #order: QueueOrder;
  /** Waiting requests, in order, from index `#first` on. */
  #requests: EngineRequest[] = [];
  #first = 0;

  constructor(order: QueueOrder) {
    this.#order = order;
  }

  get length(): number {
    return this.#requests.length - this.#first;
  }

  front(): EngineRequest | undefined {
    return this.#requests[this.#first];
  }

  popFront(): void {
    this.#first++;
    if (this.#first * 2 > this.#requests.length) {
      this.#requests = this.#requests.slice(this.#first);
      this.#first = 0;
    }
  }

  push(request: EngineRequest): void {
    if (this.#order === 'fcfs') this.#requests.push(request);
    else this.#insert(request);
  }

  /** Adds a preempted request again. */
  putBack(request: EngineRequest): void {
    if (this.#order === 'priority') this.#insert(request);
    else if (this.#first > 0) this.#requests[--this.#first] = request;
    else this.#requests.unshift(request);
  }

  /** O(length). */
  remove(request: EngineRequest): void {
    const index = this.#requests.indexOf(request, this.#first);
    if (index !== -1) this.#requests.splice(index, 1);
  }

  #insert(request: EngineRequest): void {
    let low = this.#first;
    let high = this.#requests.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (precedes(this.#requests[middle]!, request)) low = middle + 1;
      else high = middle;
    }
    this.#requests.splice(low, 0, request);
  }
}
