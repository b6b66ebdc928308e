// One engine process behind a URL: what is known of it, and whether it takes requests.

import type { Usage } from '../../wire/completion-chunk.ts';
import type { EngineSpec } from '../config/engine-spec.ts';
import type { TokenizerVerdict } from '../proof/tokenizer-parity.ts';
import { EngineCalls } from './engine-calls.ts';
import { EngineProbe, type ModelEntry } from './engine-probe.ts';
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
  readonly calls: EngineCalls = new EngineCalls();
  /** Requests under way, those of the pass-through included. */
  inFlight = 0;
  /** Back after a failure, and nothing has been answered since: one request at a time goes there. */
  onTrial = false;
  /** It said that it takes no more requests; until then others come first. */
  fullUntilMs = 0;
  /** It has told how many prompt tokens it found in its cache, so it tells whenever there are some. */
  reportsCachedTokens = false;
  #state: EngineState = 'joining';
  #reason: string | null = null;
  #draining = false;

  /** @param ca authorities that its certificate may come from, in PEM; null: those that Node trusts */
  constructor(spec: EngineSpec, ca: string | null = null) {
    this.spec = spec;
    this.url = spec.url;
    this.upstream = new Upstream(spec.url, { ca, serverName: spec.serverName ?? null });
    this.probe = new EngineProbe(spec.url, this.upstream, spec.apiKey);
  }

  get state(): EngineState {
    return this.#state;
  }

  /** Why it is not ready, or null. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Whether new requests may go there. */
  get takesRequests(): boolean {
    return this.#state === 'ready' && !this.#draining;
  }

  /** Others come first: it is full, or one request is just trying whether it works. */
  isSecondChoice(nowMs: number): boolean {
    return nowMs < this.fullUntilMs || (this.onTrial && this.inFlight > 0);
  }

  /** Nothing new goes there, whatever its state; what is under way ends as it would. */
  get draining(): boolean {
    return this.#draining;
  }

  setDraining(draining: boolean): void {
    this.#draining = draining;
    this.#applyRoutable();
  }

  /** What the usage of a complete answer means: some engines (vLLM 0.23) leave out cached tokens where there are none. */
  complete(usage: Usage): Usage {
    if (usage.cachedTokens !== null) this.reportsCachedTokens = true;
    return usage.cachedTokens === null && this.reportsCachedTokens ? { ...usage, cachedTokens: 0 } : usage;
  }

  lists(model: string): boolean {
    return this.models.some(({ id }) => id === model);
  }

  /** Requests are routed to its workers only while it is `ready` and not draining; bookings stay whatever the state. */
  setState(state: EngineState, reason: string | null): void {
    this.#state = state;
    this.#reason = reason;
    this.#applyRoutable();
  }

  #applyRoutable(): void {
    const routable = this.takesRequests;
    for (const { membership } of this.workers) membership?.pool.router.setRoutable(membership.index, routable);
  }
}
