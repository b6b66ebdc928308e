// Router: chooses a worker and books the request in one synchronous step, then tracks each booking until it ends.

import { assert } from './assert.ts';
import { BlockHasher } from './blocks/block-hash.ts';
import { Bookings } from './bookings.ts';
import { Agreement, type ChoicePurpose } from './choice/agreement.ts';
import { asPlanned, BurstPlan, type Planned } from './choice/burst-plan.ts';
import { type Decision, RecordedDecision, type Routed } from './choice/decision.ts';
import { FreeWorkers } from './choice/free-workers.ts';
import { LateBinding } from './choice/late-binding.ts';
import { hashesOf, Placements } from './choice/placements.ts';
import { type Policy, type PolicyRequest, policyRequestOf } from './choice/policy.ts';
import { Predictions } from './choice/predictions.ts';
import { HeldBlocks, nothingApplied } from './held/held-blocks.ts';
import type { HeldCopy } from './held/held-copy.ts';
import { ActiveBlocks, type BookingHolder, type BookingRecord } from './ledger/active-blocks.ts';
import { SpeedModel } from './ledger/speed-model.ts';
import { WorkerTable } from './ledger/worker-table.ts';
import { Random } from './random.ts';
import type { RouterOptions } from './router-options.ts';
import { SharedLoad } from './shared-load.ts';
import type {
  BlockHashes,
  Booking,
  FirstToken,
  Held,
  IndexSource,
  KvEvent,
  KvEventOutcome,
  Outcome,
  Prompt,
  Refused,
  RouteRequest,
  RouterCounters,
  WorkerIndex,
  WorkerLoad,
  WorkerSpec,
  WorkerSpeed,
} from './types.ts';
import { readLoad } from './worker-load.ts';

/**
 * Routes the requests of one pool: workers that serve the same model. Every call takes the time, in milliseconds on any
 * monotonic clock. The router never waits, never reads a clock, and draws random numbers from its seed only.
 */
export class Router {
  readonly lateBinding: LateBinding | null;
  /** False: `plan` leaves the requests in their order, without workers. */
  readonly plansBursts: boolean;
  /** What routers of the same workers tell each other of their load. */
  readonly shared: SharedLoad;
  readonly freeWorkers: FreeWorkers;
  readonly #policy: Policy;
  readonly #state: unknown;
  readonly #random: Random;
  readonly #workers = new WorkerTable();
  readonly #ledger = new ActiveBlocks(this.#workers);
  readonly #held: HeldBlocks;
  readonly #speed = new SpeedModel(this.#workers);
  readonly #bookings: Bookings;
  readonly #placements: Placements;
  readonly #plan: BurstPlan;
  readonly #agreement: Agreement;
  readonly #onRoomChange: () => void;
  readonly #counters = { routed: 0, refused: 0 };

  constructor(options: RouterOptions) {
    this.#policy = options.policy;
    this.#state = options.policy.init();
    this.#random = new Random(options.seed);
    const { inFlightCredit = true, bookAt = 'choice' } = options;
    this.#held = new HeldBlocks(this.#workers, options.hasher ?? new BlockHasher());
    const counted = { overlap: this.#policy.usesOverlap, promised: inFlightCredit };
    const predictions = new Predictions(this.#speed, options);
    this.#placements = new Placements(this.#workers, this.#ledger, this.#held, predictions, counted);
    this.freeWorkers = new FreeWorkers(this.#workers, this.#placements.candidates);
    this.#agreement = new Agreement(this.#workers, options.policy);
    const agreement = this.#agreement;
    const parts = { ...options, state: this.#state, placements: this.#placements, speed: this.#speed, agreement };
    this.#plan = new BurstPlan(this.#placements, this.#workers, parts);
    this.plansBursts = this.#plan.enabled;
    this.lateBinding = options.lateBinding ? new LateBinding(parts, options.lateBinding) : null;
    this.#onRoomChange = options.onRoomChange ?? (() => undefined);
    const onRoomChange = this.#onRoomChange;
    this.shared = new SharedLoad(this.#workers, this.#ledger.common, this.#held, this.#speed, onRoomChange);
    const ledgers = { ledger: this.#ledger, held: this.#held, shared: this.shared };
    const firstTokenGivesRoom = this.lateBinding !== null;
    this.#bookings = new Bookings({ ...parts, ...ledgers, inFlightCredit, bookAt, firstTokenGivesRoom, onRoomChange });
  }

  addWorker(spec: WorkerSpec): WorkerIndex {
    const worker = this.#workers.add(spec);
    this.#held.addWorker(worker);
    this.#speed.reset(worker);
    this.#placements.predictions.reset(worker);
    this.shared.workerAdded();
    this.#onRoomChange();
    return worker;
  }

  /** Drops the worker's blocks and ends its bookings. Later calls with these bookings are stale. */
  removeWorker(worker: WorkerIndex): void {
    this.#workers.assertLive(worker);
    this.#bookings.closeAll(worker);
    this.shared.workerRemoved(worker);
    this.#held.removeWorker(worker);
    this.#workers.remove(worker);
    this.#policy.onWorkerRemoved?.(this.#state, worker);
    this.#onRoomChange();
  }

  /** A worker that is not routable takes no new requests. Its requests in flight stay counted. */
  setRoutable(worker: WorkerIndex, routable: boolean): void {
    this.#workers.assertLive(worker);
    this.#workers.routable[worker] = routable ? 1 : 0;
    this.#onRoomChange();
  }

  /** @param known false: the capacity is an assumption, and no request is held because of it */
  setCapacity(worker: WorkerIndex, capacityBlocks: number, known = true): void {
    this.#workers.setCapacity(worker, capacityBlocks, known);
    this.#held.setCapacity(worker, capacityBlocks);
    this.#onRoomChange();
  }

  /** @param requestsMax Infinity if no limit is known */
  setRunningRequestsMax(worker: WorkerIndex, requestsMax: number): void {
    this.#workers.setRunningRequestsMax(worker, requestsMax);
    this.#onRoomChange();
  }

  /**
   * Drops all known blocks of the worker. Requests in flight keep the block size they were booked with.
   * @param pageSize tokens per block in the worker's KV events; must divide `blockSize`
   */
  setBlockSize(worker: WorkerIndex, blockSize: number, pageSize: number = blockSize): void {
    this.#workers.setBlockSize(worker, blockSize, pageSize);
    this.dropBlocks(worker);
    this.#held.setPages(worker);
  }

  /** Drops all known blocks of the worker. */
  setSource(worker: WorkerIndex, source: IndexSource): void {
    this.#workers.setSource(worker, source);
    this.dropBlocks(worker);
  }

  /** Drops the worker's known blocks but not its load: for a feed that restarted or has a gap that cannot be filled. */
  dropBlocks(worker: WorkerIndex): void {
    this.#workers.assertLive(worker);
    this.#held.forget(worker);
    this.#workers.viewEpoch[worker]!++;
    this.#onRoomChange();
  }

  /** Block sizes of the live workers. A prompt must be hashed for each of them. */
  blockSizes(): number[] {
    return this.#workers.blockSizes();
  }

  /**
   * Chooses a worker and books every prompt there before it returns. The prompts must carry hashes for every size in
   * `blockSizes()`. O(blocks + workers)
   * @param planned from `plan`: the worker to book if it is a candidate. Null: the policy chooses.
   */
  route(request: RouteRequest, nowMs: number, planned: WorkerIndex | null = null): Routed | Refused {
    return this.#fill(request, nowMs) ?? this.#chooseAndBook(request, nowMs, planned);
  }

  /**
   * Like `route`, but returns `held` if no worker has room for the request (see free-workers.ts).
   * @param closed workers whose room is reserved for other requests
   * @param keptWorkers see `FreeWorkers.narrow`
   */
  admit(
    request: RouteRequest,
    nowMs: number,
    closed: ReadonlySet<WorkerIndex> = noneClosed,
    planned: WorkerIndex | null = null,
    keptWorkers = 0,
  ): Routed | Refused | Held {
    const unplaced = this.#fill(request, nowMs) ?? this.freeWorkers.narrow(request, closed, keptWorkers);
    const held = unplaced ?? this.lateBinding?.hold(request, planned, nowMs);
    return held ?? this.#chooseAndBook(request, nowMs, planned);
  }

  /**
   * Chooses without booking. Changes nothing: `route` with the same request would make the same choice next. Not counted.
   */
  choose(request: RouteRequest, nowMs: number): Decision | Refused {
    const reason = this.#fillCandidates(request, nowMs);
    if (reason !== null) return { kind: 'refused', reason };
    return this.#decide(request, nowMs, null, this.#random.copy(), 'shown').decision;
  }

  /** Plans requests that arrived together; books nothing. @returns each once, in the order to route them in now */
  plan(requests: readonly RouteRequest[], nowMs: number): Planned[] {
    this.advance(nowMs);
    return this.#plan.plan(requests, nowMs);
  }

  /** Fills the candidates. @returns null, or why there are none */
  #fill(request: RouteRequest, nowMs: number): Refused | null {
    const reason = this.#fillCandidates(request, nowMs);
    if (reason === null) return null;
    this.#counters.refused++;
    return { kind: 'refused', reason };
  }

  #fillCandidates(request: RouteRequest, nowMs: number): Refused['reason'] | null {
    assert(request.prompts.length > 0, 'a request has a prompt');
    this.advance(nowMs);
    if (request.id !== undefined && this.#bookings.has(request.id)) return 'duplicate-id';
    const routable = this.#placements.fill(request, nowMs);
    const { count } = this.#placements.candidates;
    return count > 0 ? null : routable === 0 ? 'no-worker' : 'all-excluded';
  }

  #decide(
    request: RouteRequest,
    nowMs: number,
    planned: WorkerIndex | null,
    random: Random,
    purpose: ChoicePurpose,
  ): { readonly decision: Decision; readonly asked: PolicyRequest; readonly position: number } {
    const { candidates } = this.#placements;
    const asked = policyRequestOf(request, nowMs);
    const chosen = this.#policy.choose(asked, candidates, random, this.#state);
    const choice = this.#agreement.agree(chosen, candidates, request, nowMs, purpose);
    const { position, reason } = asPlanned(choice, candidates, planned);
    this.#placements.predictions.fillChosen(candidates, position, request.prompts, nowMs);
    return {
      decision: new RecordedDecision(this.#policy.name, reason, asked.isl, candidates, position),
      asked,
      position,
    };
  }

  #chooseAndBook(request: RouteRequest, nowMs: number, planned: WorkerIndex | null): Routed {
    const { candidates } = this.#placements;
    const { decision, asked, position } = this.#decide(request, nowMs, planned, this.#random, 'booked');
    const bookings: Booking[] = [];
    try {
      for (const prompt of request.prompts) {
        const record = this.#book(request, prompt, decision, nowMs, bookings);
        this.#placements.predictions.booked(record, candidates, request.prompts.length, position);
        this.#bookings.booked(record, asked);
      }
    } catch (error) {
      for (const booking of bookings) this.release(booking, 'failed', nowMs);
      throw error;
    }
    this.#counters.routed++;
    return { kind: 'routed', decision, bookings };
  }

  /** `holder` is told when the booking ends. */
  setHolder(booking: Booking, holder: BookingHolder): void {
    this.#bookings.setHolder(booking, holder);
  }

  /** With `bookAt: 'told'`: counts the load of the booking. Call it once, before the first token. */
  count(booking: Booking, nowMs: number): void {
    this.#bookings.count(booking, nowMs);
  }

  /** The first token has come: the prompt is computed. Idempotent. @returns null if not the first, or not predicted */
  firstToken(booking: Booking, nowMs: number): FirstToken | null {
    return this.#bookings.firstToken(booking, nowMs);
  }

  /** Adds output tokens of one sequence. `tokens` may cross any number of block boundaries. */
  outputTokens(booking: Booking, tokens: number, nowMs: number, sequence = 0): void {
    this.#bookings.outputTokens(booking, tokens, nowMs, sequence);
  }

  /** Sets the output tokens of one sequence to the total that the engine reported. */
  setOutputTokens(booking: Booking, totalTokens: number, sequence = 0): void {
    this.#bookings.setOutputTokens(booking, totalTokens, sequence);
  }

  /** Ends a booking and removes its whole load. A second call does nothing but count as stale. */
  release(booking: Booking, outcome: Outcome, nowMs: number): void {
    this.#bookings.release(booking, outcome, nowMs);
  }

  /** Applies one KV event. Events of one worker must come in order. Does nothing if the policy uses no index. */
  applyKvEvent(worker: WorkerIndex, event: KvEvent, nowMs: number): KvEventOutcome {
    this.#workers.assertLive(worker);
    return this.#policy.usesOverlap ? this.#held.apply(worker, event, nowMs) : nothingApplied;
  }

  /** Advances estimates and deadlines to `nowMs`. `route` does this too; call it before reading loads. */
  advance(nowMs: number): void {
    this.#bookings.advance(nowMs);
    this.#held.announcements.promises.expire(nowMs);
  }

  /** Consecutive requests that the worker computed without a KV event for their blocks within 3 s. */
  missedEvents(worker: WorkerIndex, nowMs: number): number {
    this.#workers.assertLive(worker);
    return this.#held.announcements.lag.missed(worker, nowMs);
  }

  /** Requests whose blocks were announced by an event, since the worker's blocks were last dropped. */
  matchedEvents(worker: WorkerIndex): number {
    this.#workers.assertLive(worker);
    return this.#held.announcements.lag.matched(worker);
  }

  /** Leading blocks of a prompt in the worker's index, without those of requests in flight. O(blocks) */
  announcedBlocks(worker: WorkerIndex, hashes: BlockHashes): number {
    return this.#held.index.leadingBlocks(worker, hashes);
  }

  /** O(1) */
  heldBlocks(worker: WorkerIndex): number {
    return this.#held.index.heldBlocks(worker);
  }

  /** Blocks (or pages) kept from the worker's events, in the engine's own size. O(1) */
  toldBlocks(worker: WorkerIndex): number {
    return this.#held.index.toldBlocks(worker);
  }

  /** A copy of the worker's told blocks for another router; null if they are kept in pages (see held-copy.ts). */
  heldCopy(worker: WorkerIndex): HeldCopy | null {
    return this.#held.index.copyOf(worker);
  }

  load(worker: WorkerIndex): WorkerLoad {
    return readLoad({ workers: this.#workers, held: this.#held, speed: this.#speed }, worker);
  }

  /** Speed of the worker, and errors of the predictions for it. O(1) */
  speedOf(worker: WorkerIndex, nowMs: number): WorkerSpeed {
    this.#workers.assertLive(worker);
    return this.#placements.predictions.speedOf(worker, nowMs);
  }

  /** All live workers. O(workers) */
  loads(): WorkerLoad[] {
    return this.#workers.indexes().map((worker) => this.load(worker));
  }

  /** By worker index: active prompt blocks that several requests in flight contain. For displays: O(bookings) */
  sharedBlocks(): Int32Array {
    const blocks = new Int32Array(this.#workers.count);
    this.#ledger.addSharedBlocks(blocks);
    return blocks;
  }

  /** Bookings that have not ended. */
  get liveBookings(): number {
    return this.#ledger.liveBookings;
  }

  counters(): RouterCounters {
    return Object.assign({}, this.#counters, this.#bookings.counters);
  }

  /** Recomputes every total from scratch, for tests. @throws Error naming the total that differs */
  assertConsistent(): void {
    this.#ledger.assertConsistent();
    this.#held.assertConsistent();
  }

  #book(request: RouteRequest, prompt: Prompt, decision: Decision, nowMs: number, bookings: Booking[]): BookingRecord {
    const { worker } = decision;
    const hashes = hashesOf(prompt, this.#workers.blockSize[worker]!);
    // A later prompt of the same request overlaps with the earlier ones, which are booked by now.
    const uncachedTokens =
      request.prompts.length === 1 ? decision.uncachedTokens : this.#placements.uncachedTokens(prompt, hashes, worker);
    const record = this.#bookings.open(worker, hashes, prompt, request, uncachedTokens, nowMs);
    bookings.push(record.booking);
    this.#bookings.opened(record, nowMs);
    return record;
  }
}

const noneClosed: ReadonlySet<WorkerIndex> = new Set();
