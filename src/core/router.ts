// Router: chooses a worker and books the request in one synchronous step, then tracks each booking until it ends.

import { assert } from './assert.ts';
import { BlockHasher } from './blocks/block-hash.ts';
import { asPlanned, BurstPlan, type Planned } from './choice/burst-plan.ts';
import { type Decision, RecordedDecision, type Routed } from './choice/decision.ts';
import { FreeWorkers } from './choice/free-workers.ts';
import { LateBinding } from './choice/late-binding.ts';
import { hashesOf, Placements } from './choice/placements.ts';
import { type Policy, type PolicyRequest, policyRequestOf } from './choice/policy.ts';
import { Predictions } from './choice/predictions.ts';
import { HeldBlocks, nothingApplied } from './held/held-blocks.ts';
import { ActiveBlocks, type BookingRecord } from './ledger/active-blocks.ts';
import { BookingIds } from './ledger/booking-ids.ts';
import { SpeedModel } from './ledger/speed-model.ts';
import { WholeAnswerProgress } from './ledger/whole-answer-progress.ts';
import { WorkerTable } from './ledger/worker-table.ts';
import { Random } from './random.ts';
import type { RouterOptions } from './router-options.ts';
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
  readonly #policy: Policy;
  readonly #state: unknown;
  readonly #random: Random;
  readonly #inFlightCredit: boolean;
  readonly #bookAt: 'choice' | 'first-token' | 'told';
  readonly #workers = new WorkerTable();
  readonly #ledger = new ActiveBlocks(this.#workers);
  readonly #held: HeldBlocks;
  readonly #speed = new SpeedModel(this.#workers);
  readonly #wholeAnswers: WholeAnswerProgress;
  readonly #placements: Placements;
  readonly #freeWorkers: FreeWorkers;
  readonly #plan: BurstPlan;
  readonly #onRoomChange: () => void;
  readonly #ids = new BookingIds();
  /** Bookings whose load is counted only when `count` is called. */
  readonly #untold = new Map<Booking, PolicyRequest>();
  readonly #counters = { routed: 0, refused: 0, released: 0, releasedBlocks: 0, stale: 0 };

  constructor(options: RouterOptions) {
    this.#policy = options.policy;
    this.#state = options.policy.init();
    this.#random = new Random(options.seed);
    this.#inFlightCredit = options.inFlightCredit ?? true;
    this.#bookAt = options.bookAt ?? 'choice';
    this.#held = new HeldBlocks(this.#workers, options.hasher ?? new BlockHasher());
    const counted = { overlap: this.#policy.usesOverlap, promised: this.#inFlightCredit };
    const predictions = new Predictions(this.#speed, options);
    this.#placements = new Placements(this.#workers, this.#ledger, this.#held, predictions, counted);
    this.#freeWorkers = new FreeWorkers(this.#workers, this.#placements.candidates);
    const parts = { ...options, state: this.#state, placements: this.#placements, speed: this.#speed };
    this.#plan = new BurstPlan(this.#placements, this.#workers, parts);
    this.plansBursts = this.#plan.enabled;
    this.lateBinding = options.lateBinding ? new LateBinding(parts, options.lateBinding) : null;
    this.#onRoomChange = options.onRoomChange ?? (() => undefined);
    this.#wholeAnswers = new WholeAnswerProgress(this.#ledger, this.#speed, (record, nowMs) =>
      this.#prefillDone(record, nowMs),
    );
  }

  addWorker(spec: WorkerSpec): WorkerIndex {
    const worker = this.#workers.add(spec);
    this.#held.addWorker(worker);
    this.#speed.reset(worker);
    this.#placements.predictions.reset(worker);
    this.#onRoomChange();
    return worker;
  }

  /** Drops the worker's blocks and ends its bookings. Later calls with these bookings are stale. */
  removeWorker(worker: WorkerIndex): void {
    this.#workers.assertLive(worker);
    for (const record of this.#ledger.recordsOf(worker)) this.#close(record, 0);
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
   */
  admit(
    request: RouteRequest,
    nowMs: number,
    closed: ReadonlySet<WorkerIndex> = noneClosed,
    planned: WorkerIndex | null = null,
  ): Routed | Refused | Held {
    const unplaced = this.#fill(request, nowMs) ?? this.#freeWorkers.narrow(request, closed);
    const held = unplaced ?? this.lateBinding?.hold(request, planned, nowMs);
    return held ?? this.#chooseAndBook(request, nowMs, planned);
  }

  /** Plans requests that arrived together; books nothing. @returns each once, in the order to route them in now */
  plan(requests: readonly RouteRequest[], nowMs: number): Planned[] {
    this.advance(nowMs);
    return this.#plan.plan(requests, nowMs);
  }

  /** Fills the candidates. @returns null, or why there are none */
  #fill(request: RouteRequest, nowMs: number): Refused | null {
    assert(request.prompts.length > 0, 'a request has a prompt');
    this.advance(nowMs);
    if (request.id !== undefined && this.#ids.has(request.id)) return this.#refuse('duplicate-id');
    const routable = this.#placements.fill(request, nowMs);
    const { count } = this.#placements.candidates;
    return count > 0 ? null : this.#refuse(routable === 0 ? 'no-worker' : 'all-excluded');
  }

  #chooseAndBook(request: RouteRequest, nowMs: number, planned: WorkerIndex | null): Routed {
    const { candidates } = this.#placements;
    const asked = policyRequestOf(request, nowMs);
    const choice = this.#policy.choose(asked, candidates, this.#random, this.#state);
    const { position, reason } = asPlanned(choice, candidates, planned);
    this.#placements.predictions.fillChosen(candidates, position, request.prompts, nowMs);
    const decision = new RecordedDecision(this.#policy.name, reason, asked.isl, candidates, position);
    const bookings: Booking[] = [];
    try {
      for (const prompt of request.prompts) {
        const record = this.#book(request, prompt, decision, nowMs, bookings);
        this.#placements.predictions.booked(record, candidates, request.prompts.length, position);
        if (this.#bookAt === 'told') this.#untold.set(record.booking, asked);
        else this.#policy.onBooked?.(this.#state, record, asked);
      }
    } catch (error) {
      for (const booking of bookings) this.release(booking, 'failed', nowMs);
      throw error;
    }
    this.#counters.routed++;
    return { kind: 'routed', decision, bookings };
  }

  /** With `bookAt: 'told'`: counts the load of the booking. Call it once, before the first token. */
  count(booking: Booking, nowMs: number): void {
    const asked = this.#untold.get(booking);
    const record = this.#find(booking);
    if (!record || !asked) return;
    this.#untold.delete(booking);
    assert(!record.counted, 'a load is counted before the first token');
    this.#count(record, nowMs);
    this.#policy.onBooked?.(this.#state, record, asked);
  }

  /** The first token has come: the prompt is computed. Idempotent. @returns null if not the first, or not predicted */
  firstToken(booking: Booking, nowMs: number): FirstToken | null {
    const record = this.#find(booking);
    if (!record || record.hadFirstToken) return null;
    return this.#prefillDone(record, nowMs);
  }

  /** Adds output tokens of one sequence. `tokens` may cross any number of block boundaries. */
  outputTokens(booking: Booking, tokens: number, nowMs: number, sequence = 0): void {
    const record = this.#find(booking);
    if (!record) return;
    if (!record.hadFirstToken) this.#prefillDone(record, nowMs);
    if (record.outputTokens.length === 1) this.#speed.tokens(record, tokens, nowMs);
    this.#ledger.setOutputTokens(record, record.outputTokens[sequence]! + tokens, sequence);
  }

  /** Sets the output tokens of one sequence to the total that the engine reported. */
  setOutputTokens(booking: Booking, totalTokens: number, sequence = 0): void {
    const record = this.#find(booking);
    if (!record) return;
    record.reportedTokens = Math.max(record.reportedTokens, totalTokens);
    this.#ledger.setOutputTokens(record, totalTokens, sequence);
    this.#onRoomChange();
  }

  /** Ends a booking and removes its whole load. A second call does nothing but count as stale. */
  release(booking: Booking, outcome: Outcome, nowMs: number): void {
    const record = this.#find(booking);
    if (!record) return;
    const computed = outcome === 'done' || (outcome === 'aborted' && record.hadFirstToken);
    // Read the record before it is closed: it may be reused.
    const { worker, hashes, wholeAnswer, announced } = record;
    if (outcome === 'done') this.#placements.predictions.answered(record, nowMs);
    this.#close(record, nowMs);
    this.#counters.released++;
    this.#onRoomChange();
    if (!computed || !this.#policy.usesOverlap) return;
    this.#held.ended({ worker, hashes, wholeAnswer, announced }, this.#inFlightCredit, nowMs);
  }

  /** Applies one KV event. Events of one worker must come in order. Does nothing if the policy uses no index. */
  applyKvEvent(worker: WorkerIndex, event: KvEvent, nowMs: number): KvEventOutcome {
    this.#workers.assertLive(worker);
    return this.#policy.usesOverlap ? this.#held.apply(worker, event, nowMs) : nothingApplied;
  }

  /** Advances estimates and deadlines to `nowMs`. `route` does this too; call it before reading loads. */
  advance(nowMs: number): void {
    this.#wholeAnswers.advance(nowMs);
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

  /** Bookings that have not ended. */
  get liveBookings(): number {
    return this.#ledger.liveBookings;
  }

  counters(): RouterCounters {
    return { ...this.#counters };
  }

  /** Recomputes every total from scratch, for tests. @throws Error naming the total that differs */
  assertConsistent(): void {
    this.#ledger.assertConsistent();
    this.#held.assertConsistent();
  }

  #book(request: RouteRequest, prompt: Prompt, decision: Decision, nowMs: number, bookings: Booking[]): BookingRecord {
    const { worker } = decision;
    const hashes = hashesOf(prompt, this.#workers.blockSize[worker]!);
    const record = this.#ledger.open(worker, hashes, prompt, request, nowMs);
    bookings.push(record.booking);
    // A later prompt of the same request overlaps with the earlier ones, which are booked by now.
    record.uncachedTokens =
      request.prompts.length === 1 ? decision.uncachedTokens : this.#placements.uncachedTokens(prompt, hashes, worker);
    this.#ids.opened(record, request.id);
    if (this.#bookAt === 'choice') this.#count(record, nowMs);
    if (record.wholeAnswer) this.#wholeAnswers.booked(record, nowMs);
    return record;
  }

  #count(record: BookingRecord, nowMs: number): void {
    this.#ledger.count(record, record.uncachedTokens);
    this.#speed.booked(record, nowMs);
  }

  #prefillDone(record: BookingRecord, nowMs: number): FirstToken | null {
    const { worker, wholeAnswer } = record;
    record.firstTokenMs = nowMs;
    if (record.counted) {
      this.#ledger.endPrefill(record);
      this.#speed.prefillEnds(record, !wholeAnswer, nowMs);
    } else {
      record.hadFirstToken = true;
      this.#ledger.count(record, 0);
    }
    const truth = this.#placements.predictions.prefillDone(record, nowMs);
    this.#policy.onFirstToken?.(this.#state, record, nowMs);
    if (!wholeAnswer) this.#wholeAnswers.overtaken(worker, record.order, nowMs);
    if (this.#policy.usesOverlap) this.#held.prefillDone(record, nowMs);
    if (this.lateBinding !== null) this.#onRoomChange();
    return truth;
  }

  #close(record: BookingRecord, nowMs: number): void {
    this.#ids.closed(record);
    this.#speed.ended(record, nowMs);
    try {
      // The policy never saw a booking whose load was not counted.
      if (!this.#untold.delete(record.booking)) this.#policy.onReleased?.(this.#state, record);
    } finally {
      this.#counters.releasedBlocks += this.#ledger.close(record);
    }
  }

  #find(booking: Booking): BookingRecord | undefined {
    const record = this.#ledger.find(booking);
    if (!record) this.#counters.stale++;
    return record;
  }

  #refuse(reason: Refused['reason']): Refused {
    this.#counters.refused++;
    return { kind: 'refused', reason };
  }
}

const noneClosed: ReadonlySet<WorkerIndex> = new Set();
