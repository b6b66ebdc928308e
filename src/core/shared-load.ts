// Load that routers of the same workers tell each other: what this one tells, and what it was told.
//
// A router knows exactly what it has booked itself. Where several routers send requests to the same workers, each tells
// the others its totals by worker (`readOwn`) and adds up theirs (`change`). What another router has sent to a worker
// counts as overlap there until the engine's KV events must have announced it, and the blocks that it has in common with
// other requests count once (`begun`).

import { assert } from './assert.ts';
import { DueQueue } from './blocks/due-queue.ts';
import { chainOf, sampledBlocks } from './blocks/sampled-chain.ts';
import type { HeldBlocks } from './held/held-blocks.ts';
import type { OthersPromise } from './held/others-promises.ts';
import type { BookingRecord } from './ledger/active-blocks.ts';
import type { ActiveChain, CommonBlocks, RouterChains } from './ledger/common-blocks.ts';
import type { SpeedModel } from './ledger/speed-model.ts';
import type { WorkerTable } from './ledger/worker-table.ts';
import type { IndexSource, WorkerIndex } from './types.ts';

/**
 * Load of one router on one worker, in integers. Blocks are in tokens, because routers may know a worker by different
 * block sizes. The last two grow for as long as the router has the worker.
 */
export interface LoadTotals {
  /** Active blocks x block size. */
  activeTokens: number;
  /** The part of it that belongs to one sequence only: prompt tails and output. */
  ownTokens: number;
  /** Prompt tokens that are booked and not computed yet. */
  prefillTokens: number;
  /** Pairs of tokens in their attention (see prefill-model.ts). */
  prefillPairs: number;
  runningRequests: number;
  /** Prompt tokens that the worker has computed for this router, modulo 2^48. */
  computedTokens: number;
  computedPairs: number;
}

export const noLoad: Readonly<LoadTotals> = {
  activeTokens: 0,
  ownTokens: 0,
  prefillTokens: 0,
  prefillPairs: 0,
  runningRequests: 0,
  computedTokens: 0,
  computedPairs: 0,
};

/** Is told of this router's bookings in the synchronous step that changes them. It must not keep the record. */
export interface BookingObserver {
  /** The load of a booking is counted. */
  booked(record: BookingRecord): void;
  /** Its prompt is computed. */
  computed(record: BookingRecord): void;
  /** It has ended, computed or not. */
  ended(record: BookingRecord): void;
}

/** The prompt of a request that another router has sent to a worker. */
export interface OthersPrompt {
  readonly worker: WorkerIndex;
  /** Two words a block, or what `sampledBlocks` made of them. Empty once it is no longer promised. */
  sequence: Uint32Array;
  readonly blocks: number;
  readonly blockSize: number;
  /** Whether its blocks count as overlap: false once they are announced, or if it was not computed. */
  isPromised: boolean;
  /** Null while `chain` has the same blocks. */
  promise: OthersPromise | null;
  /** Null: the request has ended. */
  chain: ActiveChain | null;
  isComputed: boolean;
  /** Position among the prompts of its worker. -1: it is forgotten. */
  at: number;
}

/** Computed prompts that wait for their events, and their blocks. Further ones stop counting when they are computed. */
export const lingeringPromptsMax = 65_536;
export const lingeringBlocksMax = 8_000_000;

const noSequence = new Uint32Array(0);

export class SharedLoad {
  observer: BookingObserver | null = null;
  /** Changes whenever a worker is added or removed. */
  workersVersion = 0;
  /** Requests in flight of all routers, by what they have in common. */
  readonly common: CommonBlocks;
  readonly #workers: WorkerTable;
  readonly #held: HeldBlocks;
  readonly #speed: SpeedModel;
  readonly #onRoomChange: () => void;
  /** Prompts of other routers by worker. */
  readonly #prompts: OthersPrompt[][] = [];
  /** Prompts that are computed, until the engine's events must have announced them. */
  readonly #lingering = new DueQueue<OthersPrompt>();
  #lingeringBlocks = 0;

  constructor(
    workers: WorkerTable,
    common: CommonBlocks,
    held: HeldBlocks,
    speed: SpeedModel,
    onRoomChange: () => void,
  ) {
    this.common = common;
    this.#workers = workers;
    this.#held = held;
    this.#speed = speed;
    this.#onRoomChange = onRoomChange;
  }

  /** Computed prompts of other routers that wait for their events. */
  get lingering(): number {
    return this.#lingering.size;
  }

  /** Indexes of the live workers, ascending. */
  workers(): WorkerIndex[] {
    return this.#workers.indexes();
  }

  id(worker: WorkerIndex): string {
    return this.#workers.id(worker);
  }

  /** Undefined: no live worker has this id. */
  find(id: string): WorkerIndex | undefined {
    return this.#workers.find(id);
  }

  incarnation(worker: WorkerIndex): number {
    return this.#workers.incarnation[worker]!;
  }

  source(worker: WorkerIndex): IndexSource {
    return this.#workers.source(worker);
  }

  /** This router's own load. O(1) */
  readOwn(worker: WorkerIndex, out: LoadTotals): void {
    const { activeBlocks, ownBlocks, blockSize, activePrefillTokens, runningRequests } = this.#workers;
    out.activeTokens = activeBlocks[worker]! * blockSize[worker]!;
    out.ownTokens = ownBlocks[worker]! * blockSize[worker]!;
    out.prefillTokens = activePrefillTokens[worker]!;
    out.runningRequests = runningRequests[worker]!;
    this.#speed.readPrefill(worker, out);
  }

  /** Load of another router that was `from` (`noLoad`: nothing was known of it) is now `to`. O(1) */
  change(worker: WorkerIndex, from: Readonly<LoadTotals>, to: Readonly<LoadTotals>, nowMs: number): void {
    const workers = this.#workers;
    workers.assertLive(worker);
    workers.othersActiveTokens[worker]! += to.activeTokens - from.activeTokens;
    workers.othersOwnTokens[worker]! += to.ownTokens - from.ownTokens;
    workers.othersPrefillTokens[worker]! += to.prefillTokens - from.prefillTokens;
    workers.othersPrefillPairs[worker]! += to.prefillPairs - from.prefillPairs;
    workers.othersRequests[worker]! += to.runningRequests - from.runningRequests;
    assert(workers.othersActiveTokens[worker]! >= 0 && workers.othersRequests[worker]! >= 0, 'loads are not negative');
    if (from !== noLoad && to !== noLoad) this.#speed.othersChanged(worker, from, to, nowMs);
    const { activeTokens, prefillTokens, runningRequests } = to;
    const isLess =
      activeTokens < from.activeTokens || prefillTokens < from.prefillTokens || runningRequests < from.runningRequests;
    if (isLess) this.#onRoomChange();
  }

  /**
   * Another router has sent a request to the worker: its blocks are active, and count as overlap there.
   * @param sequence two words a block, or what `sampledBlocks` made of them. It must not change.
   * @returns null: the router knows the worker by another block size
   */
  begun(
    router: RouterChains,
    worker: WorkerIndex,
    sequence: Uint32Array,
    blockSize: number,
    sampled: boolean,
  ): OthersPrompt | null {
    if (this.#workers.blockSize[worker] !== blockSize) return null;
    this.#prompts[worker] ??= [];
    const prompts = this.#prompts[worker];
    const prompt: OthersPrompt = {
      worker,
      sequence,
      blocks: sequence.length >>> 1,
      blockSize,
      // While its chain is kept, active blocks count as overlap: no need to keep the same samples twice.
      promise: sampled ? null : this.#held.others.add(worker, sequence, false),
      chain: this.common.add(router, worker, sampled ? sequence : sampledBlocks(chainOf(sequence))),
      isPromised: true,
      isComputed: false,
      at: prompts.length,
    };
    prompts.push(prompt);
    return prompt;
  }

  /** Its prompt is computed: it is promised until events must have announced it; a worker without events keeps it. */
  computed(prompt: OthersPrompt, nowMs: number): void {
    const { worker, sequence, blocks, blockSize, promise } = prompt;
    if (!prompt.isPromised || prompt.isComputed) return;
    prompt.isComputed = true;
    if (promise !== null) {
      this.#held.othersComputed(worker, { sequence, count: blocks, blockSize, blockTokens: blockSize });
    }
    if (this.#lingering.size >= lingeringPromptsMax || this.#lingeringBlocks + blocks > lingeringBlocksMax) {
      this.#endPromise(prompt);
      return;
    }
    this.#lingeringBlocks += blocks;
    this.#lingering.push(nowMs + this.#held.announcements.lag.lingerMs(worker), prompt);
  }

  /** Its request has ended, or is not known of any longer. */
  ended(prompt: OthersPrompt): void {
    if (!prompt.isComputed) this.#endPromise(prompt);
    else if (prompt.isPromised) prompt.promise ??= this.#held.others.add(prompt.worker, prompt.sequence, true);
    this.#endChain(prompt);
  }

  /** Ends the promises whose time is over. */
  expire(nowMs: number): void {
    for (let due = this.#lingering.popDue(nowMs); due; due = this.#lingering.popDue(nowMs)) {
      this.#lingeringBlocks -= due.blocks;
      this.#endPromise(due);
    }
  }

  #endPromise(prompt: OthersPrompt): void {
    if (prompt.promise !== null) this.#held.others.remove(prompt.promise);
    prompt.promise = null;
    prompt.isPromised = false;
    prompt.sequence = noSequence;
    this.#forgetIfOver(prompt);
  }

  #endChain(prompt: OthersPrompt): void {
    if (prompt.chain !== null) this.common.remove(prompt.chain);
    prompt.chain = null;
    this.#forgetIfOver(prompt);
  }

  #forgetIfOver(prompt: OthersPrompt): void {
    if (prompt.at < 0 || prompt.isPromised || prompt.chain !== null) return;
    const prompts = this.#prompts[prompt.worker]!;
    const last = prompts.pop()!;
    if (last !== prompt) {
      prompts[prompt.at] = last;
      last.at = prompt.at;
    }
    prompt.at = -1;
  }

  /** Router only. */
  workerAdded(): void {
    this.workersVersion++;
  }

  /** Router only. */
  workerRemoved(worker: WorkerIndex): void {
    this.workersVersion++;
    const prompts = this.#prompts[worker] ?? [];
    while (prompts.length > 0) {
      const prompt = prompts.at(-1)!;
      this.#endPromise(prompt);
      this.#endChain(prompt);
    }
  }

  /** Routers that are heard, this one included. */
  set routersHeard(routers: number) {
    this.#workers.routersHeard = routers;
  }

  /** Factor on this router's own load where it is compared with a limit: its share of routers that are not heard. */
  get ownScale(): number {
    return this.#workers.ownScale;
  }

  set ownScale(scale: number) {
    assert(scale >= 1, 'own load is scaled up');
    const more = scale < this.#workers.ownScale;
    this.#workers.ownScale = scale;
    if (more) this.#onRoomChange();
  }
}
