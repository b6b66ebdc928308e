// What the page is told of the router, its pools and its workers now.

/** Everything that is true now. */
export interface Snapshot {
  readonly timeMs: number;
  readonly router: RouterState;
  readonly pools: readonly PoolState[];
  readonly fleet: FleetState;
  /** Joined workers by pool and id, then engines that have not joined. */
  readonly workers: readonly WorkerState[];
}

export interface RouterState {
  readonly version: string;
  readonly policy: string;
  /** Unit of `CandidateState.cost` with this policy, such as `tokens` or `ms x blocks`. */
  readonly costUnit: string;
  readonly startedMs: number;
  readonly stopping: boolean;
  /** Threads that serve clients. */
  readonly threads: number;
  readonly recording: Recording;
  readonly tokenizer: string;
  /** Routers that share this fleet, this one included. */
  readonly routers: number;
  /** Pages that are looking on, and the most there may be. */
  readonly viewers: number;
  readonly viewersMax: number;
  /** Requests and connections that a limit refused since the start, by limit. */
  readonly limited: Readonly<Record<string, number>>;
  /** Delay of the event loop in the last second. */
  readonly loopDelayMs: number | null;
}

export type Recording = { readonly on: true; readonly path: string } | { readonly on: false; readonly howTo: string };

export interface PoolState {
  readonly name: string;
  readonly models: readonly string[];
  readonly workers: number;
  readonly ready: number;
  /** Requests in the queue, and the blocks that they need. */
  readonly waiting: number;
  readonly waitingBlocks: number;
}

/** Totals over all workers. */
export interface FleetState {
  readonly workers: number;
  readonly ready: number;
  readonly activeBlocks: number;
  readonly capacityBlocks: number;
  readonly activePrefillTokens: number;
  readonly runningRequests: number;
  readonly requestsPerS: number;
  readonly ttftP50Ms: number | null;
  /** Cached over prompt tokens of the last minute, as engines report them. */
  readonly prefixHitRate: number | null;
  /** The same as predicted, of all requests. */
  readonly predictedHitRate: number | null;
  /** Share of the requests whose engine reported its cached tokens. */
  readonly toldShare: number | null;
  /** Busiest worker over the mean, by predicted share of capacity in use. 1: even. Null while nothing is in flight. */
  readonly imbalance: number | null;
  /** Id of the busiest worker, and one sentence that says why. */
  readonly busiest: { readonly worker: string; readonly why: string } | null;
  /** The fleet's view of the caches in a sentence, and how many workers stand at each kind of trust. */
  readonly trust: TrustSummary;
}

export interface TrustSummary {
  readonly level: 'good' | 'warning' | 'bad';
  readonly text: string;
  readonly exact: number;
  readonly catchingUp: number;
  readonly degraded: number;
  readonly approximate: number;
}

/** `joining`: not reached yet. `stalled`: silent. `suspect`, `down`: failed. `refused`: it can't be used. */
export type WorkerHealth = 'joining' | 'ready' | 'stalled' | 'suspect' | 'down' | 'refused';

export interface WorkerState {
  /** URL#rank; the URL alone of an engine that has not joined. */
  readonly id: string;
  readonly url: string;
  /** What clients see in place of its address. */
  readonly clientId: string;
  readonly rank: number;
  readonly pool: string | null;
  readonly models: readonly string[];
  /** Kind of engine, such as `vllm`; null: not known. */
  readonly engine: string | null;
  readonly health: WorkerHealth;
  /** Why it is not ready, in words. */
  readonly healthReason: string | null;
  readonly draining: boolean;
  /** Draining, and nothing in flight: it may be stopped. */
  readonly drained: boolean;
  readonly leaving: boolean;
  readonly trust: TrustState;
  /** Null before it joins. */
  readonly load: WorkerLoadState | null;
  readonly speed: WorkerSpeedState | null;
  readonly rates: WorkerRates | null;
  /** Faults found by the canary and by live traffic, in plain words. */
  readonly findings: readonly Finding[];
}

export interface TrustState {
  readonly kind: 'exact' | 'catching-up' | 'degraded' | 'approximate' | 'unknown';
  readonly reason: string | null;
  /** One sentence. */
  readonly detail: string | null;
}

export interface WorkerLoadState {
  /** As in `GET /loads`: promptBlocks + outputBlocks. */
  readonly activeBlocks: number;
  /** Distinct full prompt blocks of the requests in flight. */
  readonly promptBlocks: number;
  /** The part of `promptBlocks` that more than one request in flight uses. */
  readonly sharedBlocks: number;
  /** Output, and prompt tails that are not a full block. */
  readonly outputBlocks: number;
  /** Booked by other routers; not in `activeBlocks`. */
  readonly otherRoutersBlocks: number;
  readonly capacityBlocks: number;
  /** False: the capacity is assumed. */
  readonly capacityKnown: boolean;
  /** Tokens of one block. */
  readonly blockTokens: number;
  /** Blocks that its cache is known to hold. */
  readonly heldBlocks: number;
  /** Prompt tokens booked and not computed yet. */
  readonly activePrefillTokens: number;
  readonly otherRoutersPrefillTokens: number;
  readonly runningRequests: number;
}

export interface WorkerSpeedState {
  /** Observed; null before the first observation. */
  readonly prefillTokensPerS: number | null;
  readonly msPerToken: number | null;
  /** Factor by which it is slower than its pool. 1: as fast. */
  readonly slowness: number;
  /** Relative standard error of `slowness`. */
  readonly slownessError: number;
  /** Predicted time until the prefill booked on it is done. */
  readonly backlogMs: number;
  /** Mean of |predicted - actual| / actual TTFT of the latest requests. */
  readonly ttftErrorShare: number | null;
  /** Mean of (predicted - actual) / actual TTFT. Above 0: predicted too long. */
  readonly ttftBiasShare: number | null;
}

export interface WorkerRates {
  /** Of the last 5 seconds. */
  readonly requestsPerS: number;
  /** Median of the last 10 seconds. */
  readonly ttftP50Ms: number | null;
  readonly itlMs: number | null;
  /** Cached over prompt tokens since it joined, as its engine reports them. */
  readonly prefixHitRate: number | null;
}

export interface Finding {
  /** Null: of the fleet. */
  readonly worker: string | null;
  /** Stable name, such as `events-off`. */
  readonly cause: string;
  readonly severity: 'info' | 'warning' | 'bad';
  /** What is wrong, in one or two sentences. */
  readonly message: string;
  /** What to do about it; null if the message says it. */
  readonly advice: string | null;
  readonly source: 'canary' | 'traffic' | 'feed' | 'health';
}
