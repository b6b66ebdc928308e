// Limits the open questions; further ones wait in a bounded queue.

import { TokenizerError } from '../../tokens/tokenizer.ts';

export class QuestionTurns {
  readonly #openMax: () => number;
  readonly #waitingMax: number;
  /** In order of arrival. */
  readonly #waiting = new Set<() => void>();
  #open = 0;

  /** @param openMax read at each turn */
  constructor(openMax: () => number, waitingMax: number) {
    this.#openMax = openMax;
    this.#waitingMax = waitingMax;
  }

  /**
   * Asks when fewer than `openMax` questions are open; the turn ends when the answer settles.
   * @throws TokenizerError `queue-full` if the queue is full, or the signal aborts before its turn
   */
  async run<T>(signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await ask();
    } finally {
      this.#end();
    }
  }

  async #take(signal: AbortSignal): Promise<void> {
    if (this.#open < Math.max(1, this.#openMax())) {
      this.#open++;
      return;
    }
    if (this.#waiting.size >= this.#waitingMax) {
      throw new TokenizerError('queue-full', `${this.#waitingMax} texts are already waiting for the engines`);
    }
    await new Promise<void>((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.delete(begin);
        reject(new TokenizerError('queue-full', `${this.#open} other questions to the engines stayed open`));
      };
      signal.addEventListener('abort', giveUp);
      this.#waiting.add(begin);
    });
  }

  #end(): void {
    this.#open--;
    for (const begin of this.#waiting) {
      if (this.#open >= Math.max(1, this.#openMax())) return;
      this.#waiting.delete(begin);
      this.#open++;
      begin();
    }
  }
}
