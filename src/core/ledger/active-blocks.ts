// Ledger of the bookings in flight: active blocks, prefill tokens and running requests of each worker.

import { assert } from '../assert.ts';
import { PrefixRuns, type Run } from '../blocks/prefix-runs.ts';
import type { BlockHashes, Booking, Prompt, RouteRequest, WorkerIndex } from '../types.ts';
import { CommonBlocks } from './common-blocks.ts';
import type { QueuedPrefill } from './prefill-queues.ts';
import type { WorkerTable } from './worker-table.ts';

/** Is told when a booking ends, in the same step. */
export interface BookingHolder {
  bookingEnded(): void;
}

/** One prompt in flight. Records are reused; a booking carries the generation of its record. */
export class BookingRecord {
  readonly slot: number;
  generation = 0;
  live = false;
  worker: WorkerIndex = 0;
  hashes: BlockHashes = noBlocks;
  lastRun: Run | null = null;
  isl = 0;
  /** Prompt tokens behind the last full block. */
  tailTokens = 0;
  /** Block size of the worker at the time of booking. */
  blockSize = 1;
  /** Whether the load is counted (see `bookAt`). */
  counted = false;
  /** Tokens counted in the worker's `activePrefillTokens`. 0 after the first token. */
  prefillTokens = 0;
  /** Uncached prompt tokens at the choice. Never reset. */
  uncachedTokens = 0;
  hadFirstToken = false;
  bookedMs = 0;
  firstTokenMs = 0;
  /** When the latest sample of the token gap ended. 0 before the first token. */
  sampledMs = 0;
  /** Tokens since `sampledMs`. */
  unsampledTokens = 0;
  /** Sequence number of the booking over the router's life. */
  order = 0;
  wholeAnswer = false;
  /** Whether KV events will announce its blocks. */
  announced = true;
  /** When to update the estimated progress of a whole-answer booking next. */
  nextDueMs = 0;
  maxOutputTokens = 0;
  id: string | undefined = undefined;
  holder: BookingHolder | null = null;
  /** Output tokens of each sequence. */
  outputTokens: number[] = [];
  /** Blocks that belong to this booking only (prompt tail and output), summed over its sequences. */
  ownBlocks = 0;
  /** Links in the worker's queue of prefills (see prefill-queues.ts). */
  queued = false;
  prefillPairs = 0;
  ahead: QueuedPrefill | null = null;
  behind: QueuedPrefill | null = null;
  /** Terms of its forecast at the choice (see forecast.ts). */
  fixedMs = 0;
  backlogMs = 0;
  prefillMs = 0;
  stepMs = 0;
  gapMs = 0;
  /** 0: no forecast was made. */
  forecastTtftMs = 0;
  /** Output tokens of the longest sequence, reported by the engine. 0: not reported. */
  reportedTokens = 0;

  constructor(slot: number) {
    this.slot = slot;
  }

  get booking(): Booking {
    return this.generation * slotsMax + this.slot;
  }
}

const noBlocks: BlockHashes = { blockSize: 1, count: 0, sequence: new Uint32Array(0), blockTokens: 1 };

/** Bookings live at a time. The generation takes the bits above (a double holds 53). */
const slotsMax = 2 ** 24;
const generationsMax = 2 ** 29;

/** Output tokens counted per sequence: more than any model writes. A larger total from an engine is capped. */
const outputTokensMax = 2 ** 24;

/** Blocks needed for the tokens of a sequence behind its last full prompt block. */
export function blocksOf(tokens: number, blockSize: number): number {
  return Math.ceil(tokens / blockSize);
}

/** Prompt tokens behind the last full block. */
export function tailTokensOf(isl: number, hashes: BlockHashes): number {
  return Math.max(0, isl - Math.round(hashes.count * hashes.blockTokens));
}

/**
 * Active blocks of a worker = distinct full prompt blocks of its counted bookings + each booking's own blocks, which
 * are ceil((ISL + output) / blockSize) - floor(ISL / blockSize) per sequence. All counts are integers; all are zero
 * when nothing is in flight.
 */
export class ActiveBlocks {
  /** What this router's requests have in common with those of others. */
  readonly common: CommonBlocks;
  readonly #workers: WorkerTable;
  readonly #runs = new PrefixRuns();
  readonly #records: BookingRecord[] = [];
  readonly #free: BookingRecord[] = [];
  #live = 0;
  #booked = 0;

  constructor(workers: WorkerTable) {
    this.#workers = workers;
    this.common = new CommonBlocks(workers);
  }

  get liveBookings(): number {
    return this.#live;
  }

  /** Adds to `out[w]` the number of leading prompt blocks that requests in flight on w contain. */
  addLeadingRuns(hashes: BlockHashes, out: Int32Array): void {
    this.#runs.addLeadingRuns(hashes, out);
  }

  /** Adds to `out[w]` the active prompt blocks that several requests in flight on w contain. O(bookings) */
  addSharedBlocks(out: Int32Array): void {
    this.#runs.addSharedBlocks(out);
  }

  /** Opens a record for a new booking. Its load is not counted before `count`. */
  open(
    worker: WorkerIndex,
    hashes: BlockHashes,
    { isl, unannounced }: Prompt,
    { sequences = 1, maxOutputTokens, wholeAnswer }: RouteRequest,
    nowMs: number,
  ): BookingRecord {
    const record = this.#free.pop() ?? this.#newRecord();
    record.generation = (record.generation + 1) % generationsMax;
    record.live = true;
    record.worker = worker;
    record.hashes = hashes;
    record.isl = isl;
    record.blockSize = hashes.blockSize;
    record.tailTokens = tailTokensOf(isl, hashes);
    record.counted = false;
    record.prefillTokens = 0;
    record.uncachedTokens = 0;
    record.hadFirstToken = false;
    record.bookedMs = nowMs;
    record.firstTokenMs = 0;
    record.sampledMs = 0;
    record.unsampledTokens = 0;
    record.order = this.#booked++;
    record.wholeAnswer = wholeAnswer ?? false;
    record.announced = !unannounced;
    record.maxOutputTokens = maxOutputTokens ?? Number.POSITIVE_INFINITY;
    record.id = undefined;
    record.holder = null;
    record.outputTokens.length = 0;
    for (let i = 0; i < sequences; i++) record.outputTokens.push(0);
    record.ownBlocks = 0;
    record.forecastTtftMs = 0;
    record.reportedTokens = 0;
    this.#live++;
    return record;
  }

  /** Counts the load of an open record. @param prefillTokens uncached prompt tokens */
  count(record: BookingRecord, prefillTokens: number): void {
    assert(record.live && !record.counted, 'a booking is counted once');
    const { worker } = record;
    record.counted = true;
    record.lastRun = this.#runs.insert(record.hashes, worker);
    this.#workers.activeBlocks[worker]! += this.#runs.insertedBlocks;
    this.#workers.runningRequests[worker]!++;
    this.#setOwnBlocks(record);
    if (record.hadFirstToken) return;
    record.prefillTokens = prefillTokens;
    this.#workers.activePrefillTokens[worker]! += prefillTokens;
  }

  /** The record of a live booking; undefined if it ended or never existed. O(1) */
  find(booking: Booking): BookingRecord | undefined {
    // The low bits of a double; faster than the remainder, which is a call for numbers above 2^31.
    const record = this.#records[booking & (slotsMax - 1)];
    return record?.live && record.booking === booking ? record : undefined;
  }

  /** The prompt is computed: its prefill tokens leave the load. */
  endPrefill(record: BookingRecord): void {
    record.hadFirstToken = true;
    this.#workers.activePrefillTokens[record.worker]! -= record.prefillTokens;
    record.prefillTokens = 0;
  }

  /** O(1) */
  setOutputTokens(record: BookingRecord, tokens: number, sequence: number): void {
    assert(sequence >= 0 && sequence < record.outputTokens.length, 'the sequence is one of the booking');
    const { tailTokens, blockSize } = record;
    const before = blocksOf(tailTokens + record.outputTokens[sequence]!, blockSize);
    const capped = Math.min(tokens, outputTokensMax);
    record.outputTokens[sequence] = capped;
    if (!record.counted) return;
    const after = blocksOf(tailTokens + capped, blockSize);
    if (after !== before) this.#addOwnBlocks(record, after - before);
  }

  /** Removes the load. The record may be reused afterwards. @returns the active blocks that no other booking has */
  close(record: BookingRecord): number {
    assert(record.live, 'a booking ends once');
    const { worker } = record;
    const before = this.#workers.activeBlocks[worker]!;
    if (record.counted) {
      this.endPrefill(record);
      if (record.lastRun) this.#workers.activeBlocks[worker]! -= this.#runs.remove(record.lastRun, worker);
      this.#workers.activeBlocks[worker]! -= record.ownBlocks;
      this.#workers.ownBlocks[worker]! -= record.ownBlocks;
      this.#workers.runningRequests[worker]!--;
    }
    record.live = false;
    record.lastRun = null;
    record.hashes = noBlocks;
    this.#live--;
    this.#free.push(record);
    return before - this.#workers.activeBlocks[worker]!;
  }

  /** Live records of one worker. O(bookings), so only for removals and checks. */
  recordsOf(worker: WorkerIndex): BookingRecord[] {
    return this.#records.filter((record) => record.live && record.worker === worker);
  }

  /** Recomputes every total from the live bookings. @throws Error naming the total that differs */
  assertConsistent(): void {
    this.#runs.assertConsistent();
    this.common.assertConsistent();
    for (let worker = 0; worker < this.#workers.count; worker++) {
      const blocks = new Set<string>();
      let own = 0;
      let prefill = 0;
      let running = 0;
      for (const record of this.recordsOf(worker)) {
        if (!record.counted) continue;
        const { sequence, count } = record.hashes;
        for (let i = 0; i < count; i++) blocks.add(`${sequence[2 * i]},${sequence[2 * i + 1]}`);
        for (const output of record.outputTokens) own += blocksOf(record.tailTokens + output, record.blockSize);
        prefill += record.prefillTokens;
        running++;
      }
      assert(this.#workers.activeBlocks[worker] === blocks.size + own, 'active blocks = distinct blocks + own blocks');
      assert(this.#workers.ownBlocks[worker] === own, 'own blocks = sum over the bookings');
      assert(this.#workers.activePrefillTokens[worker] === prefill, 'active prefill tokens = sum over the bookings');
      assert(this.#workers.runningRequests[worker] === running, 'running requests = counted bookings');
    }
    assert(this.#records.filter((record) => record.live).length === this.#live, 'live bookings are counted');
    assert(this.#live > 0 || this.#runs.runCount === 0, 'without bookings there are no runs');
  }

  #newRecord(): BookingRecord {
    assert(this.#records.length < slotsMax, 'at most slotsMax bookings are live');
    const record = new BookingRecord(this.#records.length);
    this.#records.push(record);
    return record;
  }

  #setOwnBlocks(record: BookingRecord): void {
    let own = 0;
    for (let i = 0; i < record.outputTokens.length; i++) {
      own += blocksOf(record.tailTokens + record.outputTokens[i]!, record.blockSize);
    }
    this.#addOwnBlocks(record, own - record.ownBlocks);
  }

  #addOwnBlocks(record: BookingRecord, blocks: number): void {
    this.#workers.activeBlocks[record.worker]! += blocks;
    this.#workers.ownBlocks[record.worker]! += blocks;
    record.ownBlocks += blocks;
  }
}
