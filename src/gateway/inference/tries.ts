// Counts the attempts of one request, and the engines that died while serving it.

import { attemptsMax, Deaths } from './attempt-failure.ts';

export class Tries {
  readonly deaths: Deaths = new Deaths();
  #count = 0;
  #ended = false;

  /** Attempts so far. */
  get count(): number {
    return this.#count;
  }

  /** No further attempt may be made. */
  get over(): boolean {
    return this.#ended || this.#count >= attemptsMax || this.deaths.tooMany;
  }

  /** @returns the number of the attempt that begins, from 1 */
  next(): number {
    this.#count += 1;
    return this.#count;
  }

  /** An engine may have acted on the request: no other may get it. */
  end(): void {
    this.#ended = true;
  }
}
