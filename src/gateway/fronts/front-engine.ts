// An engine as a front knows it: connections to it, and what its answers' relays tell of it.

import type { AnsweringEngine } from '../engines/answering-engine.ts';
import type { Call } from '../engines/engine-calls.ts';
import { Upstream } from '../engines/upstream.ts';
import type { FrontEngineSpec } from './front-messages.ts';

export class FrontEngine {
  readonly upstream: Upstream;
  readonly #onHeard: () => void;
  #count = 0;
  #heardCount = 0;

  /** @param onHeard called whenever bytes of an answer come */
  constructor({ url, tls }: FrontEngineSpec, onHeard: () => void) {
    this.upstream = new Upstream(url, tls);
    this.#onHeard = onHeard;
  }

  /** Attempts of this front under way. */
  get count(): number {
    return this.#count;
  }

  /** The engine for one attempt. */
  attempt(told: AttemptListener): AnsweringEngine {
    const counts = {
      count: () => this.#count,
      heardCount: () => this.#heardCount,
    };
    return {
      upstream: this.upstream,
      calls: {
        get count() {
          return counts.count();
        },
        get heardCount() {
          return counts.heardCount();
        },
        open: (call) => {
          this.#count += 1;
          told.opened(call);
        },
        close: () => {
          this.#count -= 1;
        },
        heard: () => {
          this.#heardCount += 1;
          this.#onHeard();
        },
        pause: (call) => {
          call.paused = true;
          told.paused(true);
        },
        resume: (call) => {
          call.paused = false;
          told.paused(false);
        },
      },
    };
  }
}

export interface AttemptListener {
  opened(call: Call): void;
  paused(paused: boolean): void;
}
