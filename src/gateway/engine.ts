// One engine process behind a URL: what is known of it, and whether it takes requests.

import { EngineProbe, type ModelEntry } from './engine-probe.ts';
import type { EngineSpec } from './engine-spec.ts';
import type { TokenizerVerdict } from './tokenizer-parity.ts';
import { Upstream } from './upstream.ts';
import type { Worker } from './worker.ts';

/**
 * `joining`: not reached yet. `ready`: takes requests. `suspect`: a request could not connect, a probe is under way.
 * `down`: was reached once, not any more. `refused`: reached, but not fit for use.
 */
export type EngineState = 'joining' | 'ready' | 'suspect' | 'down' | 'refused';

export class Engine {
  readonly spec: EngineSpec;
  readonly url: string;
  readonly upstream: Upstream;
  readonly probe: EngineProbe;
  models: readonly ModelEntry[] = [];
  workers: readonly Worker[] = [];
  tokenizer: TokenizerVerdict = { text: 'unchecked', chat: 'unchecked' };
  /** Requests under way, those of the pass-through included. */
  inFlight = 0;
  #state: EngineState = 'joining';
  #reason: string | null = null;

  constructor(spec: EngineSpec) {
    this.spec = spec;
    this.url = spec.url;
    this.upstream = new Upstream(spec.url);
    this.probe = new EngineProbe(spec.url, this.upstream, spec.apiKey);
  }

  get state(): EngineState {
    return this.#state;
  }

  /** Why it is not ready, or null. */
  get reason(): string | null {
    return this.#reason;
  }

  lists(model: string): boolean {
    return this.models.some(({ id }) => id === model);
  }

  /** Requests are routed to its workers only while it is `ready`; bookings stay whatever the state. */
  setState(state: EngineState, reason: string | null): void {
    this.#state = state;
    this.#reason = reason;
    for (const { membership } of this.workers) membership?.pool.router.setRoutable(membership.index, state === 'ready');
  }
}
