// Remembers which worker answered with which response: engines keep responses to themselves, and only the one that
// holds a response can continue it.

import type { Worker } from '../engines/engine.ts';

/** Beyond it, the least recently used response is forgotten; its engine is then looked for. */
const responsesMax = 65_536;

export interface HeldResponse {
  readonly worker: Worker;
  readonly model: string;
  /** Name of the API key that asked for it; null: none was needed. Others may not continue it. */
  readonly key: string | null;
  /** Prompt and answer; 0 if the engine did not tell. */
  readonly tokens: number;
}

export class ResponseHolders {
  readonly #responsesMax: number;
  /** Least recently used first. */
  readonly #held = new Map<string, HeldResponse>();

  constructor(max: number = responsesMax) {
    this.#responsesMax = max;
  }

  get size(): number {
    return this.#held.size;
  }

  /** @param id at most `responseIdLengthMax` characters */
  remember(id: string, response: HeldResponse): void {
    this.#held.delete(id);
    this.#held.set(id, response);
    if (this.#held.size <= this.#responsesMax) return;
    for (const oldest of this.#held.keys()) {
      this.#held.delete(oldest);
      return;
    }
  }

  /** Null if it is unknown, or belongs to another key. */
  find(id: string, key: string | null): HeldResponse | null {
    const response = this.#held.get(id);
    if (response === undefined || response.key !== key) return null;
    this.remember(id, response);
    return response;
  }

  /** It was deleted. */
  forget(id: string): void {
    this.#held.delete(id);
  }

  /** Whether another key asked for this response: no engine may be asked for it. */
  isForeign(id: string, key: string | null): boolean {
    const response = this.#held.get(id);
    return response !== undefined && response.key !== key;
  }

  /** Drops what a worker held that left the pool. */
  workerGone(worker: Worker): void {
    for (const [id, response] of this.#held) if (response.worker === worker) this.#held.delete(id);
  }
}
