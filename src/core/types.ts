// The values that cross the edge of the routing library: prompts, KV events, requests, decisions, loads.

/** Position of a worker in every column of a router; reused after the worker's removal. */
export type WorkerIndex = number;

/** One booked sequence of one prompt: slot and generation in one number; a stale one is refused, not misread. */
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
  /** Tokens that one hashed block stands for: `blockSize`, except where the blocks were cut from bytes. */
  readonly blockTokens: number;
}

/** One prompt, hashed once for each block size of the pool. */
export interface Prompt {
  /** Input sequence length in tokens, the partial last block included. */
  readonly isl: number;
  readonly hashes: readonly BlockHashes[];
  /** The engine computes all of it, whatever it holds, and stores the blocks as usual: no overlap counts. Default false. */
  readonly recomputed?: boolean;
  /** The hashes are of something else than tokens: no KV event will tell of these blocks. Default false. */
  readonly unannounced?: boolean;
}

/**
 * Blocks that an engine has cached, in chain order; the first one's parent is `parent` (null: the root).
 * `hashes` and `parent` are the engine's own 64-bit hashes as two words each (low, high): handles, never recomputed.
 */
export interface BlocksStored {
  readonly kind: 'stored';
  readonly hashes: Uint32Array;
  readonly parent: Uint32Array | null;
  /** Token ids of all blocks, `blockSize` each; shorter if the engine did not say (then only the complete blocks count). */
  readonly tokens: Uint32Array;
  readonly blockSize: number;
  /** LoRA adapter, or null for the base model. */
  readonly lora: string | null;
  /** Cache salt; only ever set where `parent` is null (children inherit it through the chain). */
  readonly salt: string | null;
  /** For each block what else separates its content (media in it), or null; null as a whole: nothing does. */
  readonly extras: readonly (string | null)[] | null;
  /** Our own sequence hashes (two words a block) from a sender that knows them, such as the lab: no token is looked at. */
  readonly sequence?: Uint32Array;
}

/** Blocks of which the engine dropped one copy each. */
export interface BlocksRemoved {
  readonly kind: 'removed';
  readonly hashes: Uint32Array;
}

/** The engine dropped its whole prefix cache. */
export interface BlocksCleared {
  readonly kind: 'cleared';
}

export type KvEvent = BlocksStored | BlocksRemoved | BlocksCleared;

/** What an event did to the index; everything but `applied` is a reason to look at the feed. */
export interface KvEventOutcome {
  /** Blocks stored or removed. */
  readonly appliedBlocks: number;
  /** Stored blocks dropped because their parent is unknown (a hole in the feed). */
  readonly orphanBlocks: number;
  /** Removed blocks that the index did not know. */
  readonly unknownBlocks: number;
}

/**
 * Where the knowledge of a worker's blocks comes from: its KV events, or a mirror of our own decisions (LRU, sized
 * to the worker's capacity).
 */
export type IndexSource = 'events' | 'approximate';

export interface WorkerSpec {
  /** Unique among the live workers of a router: URL # data-parallel rank. */
  readonly id: string;
  readonly blockSize: number;
  /** Tokens of one block in its KV events, where that is less than `blockSize`; divides it. Default: `blockSize`. */
  readonly pageSize?: number;
  /** KV capacity in blocks of `blockSize`; sizes the mirror of an approximate worker. */
  readonly capacityBlocks: number;
  /** False: `capacityBlocks` is an assumption, by which no request is held. Default true. */
  readonly capacityKnown?: boolean;
  /** Bookings that the worker takes at a time, where that is known; see room.ts. Default: no limit. */
  readonly runningRequestsMax?: number;
  readonly source: IndexSource;
}

/** Makes one worker cheaper for one request by so many tokens, for policies whose cost is in tokens. */
export interface Affinity {
  readonly worker: WorkerIndex;
  readonly tokens: number;
}

export interface RouteRequest {
  /** One or more prompts that go to the same worker, each booked on its own. */
  readonly prompts: readonly Prompt[];
  /** Sequences sampled from each prompt (OpenAI's `n`); default 1. */
  readonly sequences?: number;
  /** Upper bound of the output tokens of one sequence, where known: ends the assumed growth of a whole answer. */
  readonly maxOutputTokens?: number;
  /** The answer comes in one piece: first token and growth are estimated (see whole-answer-progress.ts). Default false. */
  readonly wholeAnswer?: boolean;
  readonly overlapWeight?: number;
  readonly temperature?: number;
  /** Workers that must not be chosen (tried already). */
  readonly excluded?: ReadonlySet<WorkerIndex>;
  readonly affinity?: Affinity;
  /** Refused if a live booking has the same id. Only embedders set it: ids of clients are not unique. */
  readonly id?: string;
}

/** Every cost term of one candidate. Lower cost wins. */
export interface CandidateCost {
  readonly worker: WorkerIndex;
  /** In the policy's own unit (tokens for `kv`, requests for `least-requests`, ...); 0 where it has no cost. */
  readonly cost: number;
  /** Leading prompt blocks that the worker holds or has been promised. */
  readonly overlapBlocks: number;
  /** Leading prompt blocks that requests in flight there contain: credited whether or not the engine announced them yet. */
  readonly promisedBlocks: number;
  readonly overlapTokens: number;
  /** Prompt tokens that the worker would have to compute. */
  readonly uncachedTokens: number;
  readonly activePrefillTokens: number;
  readonly activeBlocks: number;
  /** Blocks that this request would add to `activeBlocks`. */
  readonly newBlocks: number;
  readonly runningRequests: number;
  /** What `RouteRequest.affinity` takes off the cost. */
  readonly affinityTokens: number;
}

/**
 * Why this worker: it alone had the lowest cost; taken among several with the lowest cost; it was the only candidate;
 * drawn by temperature; its turn came (round robin); drawn without regard to all costs (random, power of two); the
 * prompt's prefix belongs to it, by a rule that comes before the cost.
 */
export type DecisionReason = 'cost' | 'tie' | 'only' | 'temperature' | 'turn' | 'draw' | 'affinity';

export interface Decision {
  readonly policy: string;
  readonly worker: WorkerIndex;
  readonly reason: DecisionReason;
  /** Of the chosen worker, before this request was booked. */
  readonly overlapTokens: number;
  readonly overlapBlocks: number;
  /** The part of `overlapBlocks` that requests in flight have promised, announced or not. */
  readonly promisedBlocks: number;
  /** The highest `overlapTokens` of any candidate. */
  readonly bestOverlapTokens: number;
  /** Of the chosen worker: `isl - overlapTokens`, at least 1 a prompt: the engine computes the last block again. */
  readonly uncachedTokens: number;
  readonly isl: number;
  /** Every candidate, in order of worker index; built when asked for. */
  candidates(): CandidateCost[];
}

export interface Routed {
  readonly kind: 'routed';
  readonly decision: Decision;
  /** One for each prompt, in order. */
  readonly bookings: readonly Booking[];
}

export interface Refused {
  readonly kind: 'refused';
  /** `no-worker`: none is routable; `all-excluded`: some are, but all were excluded; `duplicate-id`: see `RouteRequest.id`. */
  readonly reason: 'no-worker' | 'all-excluded' | 'duplicate-id';
}

/** Every worker that may take the request is full; nothing was booked. */
export interface Held {
  readonly kind: 'held';
  /** The worker that lacks the fewest blocks, among those whose room is not kept for others; null: there is none. */
  readonly nearest: WorkerIndex | null;
}

/**
 * How a booking ended. `done`: the stream ended normally. `failed`: the upstream failed or was never reached.
 * `aborted`: the client went away. Promised blocks outlive the booking only where a first token proves them computed.
 */
export type Outcome = 'done' | 'failed' | 'aborted';

export interface WorkerLoad {
  readonly index: WorkerIndex;
  readonly id: string;
  /** Raised when the worker is removed and added again: a new process. */
  readonly incarnation: number;
  /** Raised when all that was known of the worker's blocks was dropped. */
  readonly viewEpoch: number;
  readonly routable: boolean;
  readonly blockSize: number;
  readonly capacityBlocks: number;
  readonly capacityKnown: boolean;
  /** Null: no limit is known. */
  readonly runningRequestsMax: number | null;
  readonly source: IndexSource;
  /** Distinct full blocks of the requests in flight + the blocks that single sequences fill. */
  readonly activeBlocks: number;
  /** Prompt tokens booked and not computed yet. */
  readonly activePrefillTokens: number;
  readonly runningRequests: number;
  /** Distinct blocks in the index for this worker. */
  readonly heldBlocks: number;
  /** Observed prefill speed; 0 before anything was observed. */
  readonly prefillTokensPerS: number;
  /** Observed gap between two tokens of a stream; 0 before anything was observed. */
  readonly tokenGapMs: number;
  /** Observed delay of KV events behind the first token. */
  readonly eventLagMs: number;
}

export interface RouterCounters {
  readonly routed: number;
  readonly refused: number;
  readonly released: number;
  /** Active blocks that ends of bookings have set free. */
  readonly releasedBlocks: number;
  /** Calls on bookings that had ended (or never were): no-ops. */
  readonly stale: number;
}
