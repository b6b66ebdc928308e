// Public types of the routing library: prompts, KV events, requests, loads.

/** Index of a worker in every column of a router. Reused after the worker is removed. */
export type WorkerIndex = number;

/** Handle of one booked prompt: slot and generation in one number, so that a stale handle is detected. */
export type Booking = number;

/**
 * The full blocks of one prompt at one block size.
 * `sequence` holds two words a block (low, high) of the chained 64-bit sequence hash: equal hashes mean equal
 * content of the block and of all before it. See block-hash.ts for the hash.
 */
export interface BlockHashes {
  readonly blockSize: number;
  readonly count: number;
  readonly sequence: Uint32Array;
  /** Tokens per hashed block: `blockSize`, or an estimate if the blocks were cut from bytes. */
  readonly blockTokens: number;
}

/** One prompt, hashed once for each block size of the pool. */
export interface Prompt {
  /** Input sequence length in tokens, the partial last block included. */
  readonly isl: number;
  readonly hashes: readonly BlockHashes[];
  /** The engine ignores its cache for this prompt but stores the blocks, so overlap counts as zero. Default false. */
  readonly recomputed?: boolean;
  /** The hashes are not of token ids, so no KV event will match these blocks. Default false. */
  readonly unannounced?: boolean;
}

/**
 * Blocks that an engine has cached, in chain order. `parent` is the parent of the first block (null: the root).
 * `hashes` and `parent` are the engine's own 64-bit hashes as two words each (low, high). They are used as handles and
 * never recomputed.
 */
export interface BlocksStored {
  readonly kind: 'stored';
  readonly hashes: Uint32Array;
  readonly parent: Uint32Array | null;
  /**
   * Token ids of all blocks, `blockSize` each. May be shorter if the engine left some out; only complete blocks count.
   */
  readonly tokens: Uint32Array;
  readonly blockSize: number;
  /** LoRA adapter, or null for the base model. */
  readonly lora: string | null;
  /** Cache salt. Set only if `parent` is null; children inherit it through the hash chain. */
  readonly salt: string | null;
  /**
   * Per block: what distinguishes its content besides tokens (such as media), or null. Null for the whole list: nothing
   * does.
   */
  readonly extras: readonly (string | null)[] | null;
  /**
   * Our own sequence hashes (two words per block), from a sender that knows them, such as the lab. `tokens` and
   * `parent` are then ignored.
   */
  readonly sequence?: Uint32Array;
}

/** The engine dropped one copy of each of these blocks. */
export interface BlocksRemoved {
  readonly kind: 'removed';
  readonly hashes: Uint32Array;
}

/** The engine dropped its whole prefix cache. */
export interface BlocksCleared {
  readonly kind: 'cleared';
}

export type KvEvent = BlocksStored | BlocksRemoved | BlocksCleared;

/** Effect of one event on the index. Orphan and unknown blocks point to a fault in the feed. */
export interface KvEventOutcome {
  /** Blocks stored or removed. */
  readonly appliedBlocks: number;
  /** Stored blocks that were dropped because their parent is unknown (a gap in the feed). */
  readonly orphanBlocks: number;
  /** Removed blocks that the index did not know. */
  readonly unknownBlocks: number;
}

/**
 * Source of a worker's known blocks: its KV events, or a mirror of our own decisions (LRU, sized to the worker's
 * capacity).
 */
export type IndexSource = 'events' | 'approximate';

export interface WorkerSpec {
  /** Unique among the live workers of a router: URL#data-parallel rank. */
  readonly id: string;
  readonly blockSize: number;
  /** Tokens per block in the worker's KV events. Must divide `blockSize`. Default: `blockSize`. */
  readonly pageSize?: number;
  /** KV capacity in blocks of `blockSize`. Also the size of the mirror of an approximate worker. */
  readonly capacityBlocks: number;
  /** False: `capacityBlocks` is an assumption, and no request is held because of it. Default true. */
  readonly capacityKnown?: boolean;
  /** Bookings that the worker may run at a time, if known (see free-workers.ts). Default: no limit. */
  readonly runningRequestsMax?: number;
  readonly source: IndexSource;
}

/** Lowers the cost of one worker for one request by `tokens`. `kv` and `foresee` use it. */
export interface Affinity {
  readonly worker: WorkerIndex;
  readonly tokens: number;
}

/** What the client asks of one request. Undefined: no limit. */
export interface RequestSlo {
  readonly ttftMs?: number | undefined;
  readonly tpotMs?: number | undefined;
}

export interface RouteRequest {
  /** One or more prompts. All go to the same worker; each has its own booking. */
  readonly prompts: readonly Prompt[];
  /** Sequences sampled from each prompt (OpenAI's `n`); default 1. */
  readonly sequences?: number;
  /** Upper bound on the output tokens of one sequence, if known. Ends the assumed growth of a whole answer. */
  readonly maxOutputTokens?: number;
  /** The answer is not streamed, so its progress is estimated (see whole-answer-progress.ts). Default false. */
  readonly wholeAnswer?: boolean;
  readonly overlapWeight?: number;
  readonly temperature?: number;
  /** Workers that must not be chosen, for example because they were tried already. */
  readonly excluded?: ReadonlySet<WorkerIndex>;
  readonly affinity?: Affinity;
  /** A policy that predicts prefers workers that meet it to those that do not. */
  readonly slo?: RequestSlo;
  /** Refused if a live booking has the same id. Set by embedders only: client ids are not unique. */
  readonly id?: string;
}

export interface Refused {
  readonly kind: 'refused';
  /**
   * `no-worker`: none is routable. `all-excluded`: all routable ones are excluded. `duplicate-id`: see
   * `RouteRequest.id`.
   */
  readonly reason: 'no-worker' | 'all-excluded' | 'duplicate-id';
}

/** No worker has room for the request. Nothing was booked. */
export interface Held {
  readonly kind: 'held';
  /**
   * The worker that lacks the fewest blocks, among those whose room is not reserved for others. Null: there is none.
   */
  readonly nearest: WorkerIndex | null;
  /** Whether later requests may find a worker. False: no worker takes any. */
  readonly othersMayGo: boolean;
  /** Workers among the candidates that it had to leave free for other tenants. */
  readonly keptWorkers: number;
}

/**
 * How a booking ended. `done`: the stream ended normally. `failed`: the upstream failed or was never reached.
 * `aborted`: the client went away. Its prompt blocks keep counting as overlap only if a first token showed that they
 * were computed.
 */
export type Outcome = 'done' | 'failed' | 'aborted';

export interface WorkerLoad {
  readonly index: WorkerIndex;
  readonly id: string;
  /** Incremented when a removed worker's index is used again. */
  readonly incarnation: number;
  /** Incremented whenever all known blocks of the worker are dropped. */
  readonly viewEpoch: number;
  readonly routable: boolean;
  readonly blockSize: number;
  readonly capacityBlocks: number;
  readonly capacityKnown: boolean;
  /** Null if no limit is known. */
  readonly runningRequestsMax: number | null;
  readonly source: IndexSource;
  /** Distinct full prompt blocks of the requests in flight, plus the blocks that belong to one sequence only. */
  readonly activeBlocks: number;
  /** The part of `activeBlocks` that belongs to one sequence only: prompt tails and output. */
  readonly ownBlocks: number;
  /** Prompt tokens that are booked and not computed yet. */
  readonly activePrefillTokens: number;
  readonly runningRequests: number;
  /**
   * What other routers have told of their load on the worker. Not included in the three fields above. Of their blocks
   * those are left out that are counted already: in `activeBlocks`, or for another of them.
   */
  readonly othersBlocks: number;
  /** How many were left out, as far as it is known. */
  readonly commonBlocks: number;
  readonly othersPrefillTokens: number;
  readonly othersRequests: number;
  /** Distinct blocks in the index for this worker. */
  readonly heldBlocks: number;
  /** Observed prefill speed. 0 before the first observation. */
  readonly prefillTokensPerS: number;
  /** Observed gap between two tokens of a stream. 0 before the first observation. */
  readonly tokenGapMs: number;
  /** Observed delay from first token to KV event. */
  readonly eventLagMs: number;
}

/** Speed of a worker, learnt from its streams, and errors of the predictions for it. */
export interface WorkerSpeed {
  /** Factor by which the worker is slower than its pool. 1: as fast. Includes a present stall. */
  readonly slowness: number;
  /** Relative standard error of `slowness`. 1: nothing is known. */
  readonly slownessError: number;
  /** Predicted time until the prefill that is booked on the worker is done. */
  readonly backlogMs: number;
  /** First tokens of requests whose TTFT was predicted. */
  readonly forecasts: number;
  /** Mean of |predicted - actual| / actual TTFT over the latest forecasts (about 50). Null before the first. */
  readonly ttftErrorShare: number | null;
  /** Mean of (predicted - actual) / actual TTFT. Above 0: predicted too long. Null before the first. */
  readonly ttftBiasShare: number | null;
  /** First tokens with a known regret. */
  readonly regrets: number;
  /** Sum of `FirstToken.regretMs` over the decisions for this worker. */
  readonly regretSumMs: number;
}

/** A decision evaluated at its first token. */
export interface FirstToken {
  /** From the booking to the first token. */
  readonly ttftMs: number;
  readonly predictedTtftMs: number;
  /**
   * How much earlier the best worker would have sent the first token, by present knowledge: the actual time of the
   * prefill booked there before this request, plus the request's own prefill by the present model. 0: the choice was
   * best. Null if the policy does not predict for all candidates.
   */
  readonly regretMs: number | null;
  /** The best worker by present knowledge. Null like `regretMs`. */
  readonly bestWorker: WorkerIndex | null;
}

export interface RouterCounters {
  readonly routed: number;
  readonly refused: number;
  readonly released: number;
  /** Active blocks freed by bookings that ended. */
  readonly releasedBlocks: number;
  /** Calls with a booking that had ended or never existed. Such calls do nothing. */
  readonly stale: number;
}
