// Speed and remaining prefill of each worker, learnt from bookings, first tokens and token gaps.
//
// One model predicts work for the whole pool (prefill-model, decode-model); each worker has a factor by which it is
// slower (slowness). A new worker starts with the pool's model. No data is requested from the engines.

import type { WorkerIndex } from '../types.ts';
import type { BookingRecord } from './active-blocks.ts';
import { DecodeModel } from './decode-model.ts';
import { attendedPairs, PrefillModel } from './prefill-model.ts';
import { PrefillQueues } from './prefill-queues.ts';
import { PrefillShare } from './prefill-share.ts';
import { Slowness } from './slowness.ts';
import type { WorkerTable } from './worker-table.ts';

/** First tokens closer together than this are from one engine step, and form one sample of prefill. */
const togetherMs = 2;
/** Tokens closer together than this form one sample of a stream: a connection may deliver several in one read. */
const gapSampleMsMin = 1;
/** Weight of the old average of the observed speeds when a sample is added: about ten samples count. */
const shownMemory = 0.9;
const prefillMemory = 0.9;
const gapMemory = 0.98;
/** The pool's model learns from one gap sample in this many, since neighbours differ little. */
const gapsPerLesson = 8;
/** Time by which a step may exceed its prediction before the worker counts as stalled. */
const stallSlackMs = 500;
/** Weight of a sample in the mean slowness of the pool. */
const centreGain = 0.02;

class WorkerSpeed {
  /** Start of the group of prompts whose first tokens arrive together. */
  groupFromMs = 0;
  /** Their arrival. 0: no group is open. */
  groupEndMs = 0;
  groupTokens = 0;
  groupPairs = 0;
  /** What the worker has computed for other routers since `groupFromMs`. */
  othersTokens = 0;
  othersPairs = 0;
  /** Prefill observed so far, averaged. */
  tokens = 0;
  ms = 0;
  /** Tokens and time of single streams, averaged. */
  streamedTokens = 0;
  streamedMs = 0;
  gaps = 0;
  /** When prefill was last queued, by this router or another. */
  prefillMs = 0;
  /** When the worker last sent a token. */
  tokenMs = 0;
  /** Prefill observed since the worker was added, modulo `computedWrap`. */
  computedTokens = 0;
  computedPairs = 0;
}

/** Sums that grow for ever start again here, and stay exact. */
const computedWrap = 2 ** 48;

/** The prefill of this router on one worker, as `readPrefill` writes it. */
export interface PrefillTotals {
  prefillTokens: number;
  prefillPairs: number;
  computedTokens: number;
  computedPairs: number;
}

/** One entry per worker, cleared by `reset`. `refresh` is O(workers), every other call O(1). */
export class SpeedModel {
  readonly share: PrefillShare;
  readonly #workers: WorkerTable;
  readonly #prefill = new PrefillModel();
  readonly #decode = new DecodeModel();
  readonly #queues = new PrefillQueues();
  readonly #prefillSlowness = new Slowness(prefillMemory);
  readonly #gapSlowness = new Slowness(gapMemory);
  readonly #speeds: WorkerSpeed[] = [];
  /** Mean logarithm of the slowness of samples: the pool's model drifts until it is 0. */
  #prefillCentre = 0;
  #gapCentre = 0;
  /** KV tokens of all live workers, as of `refresh`. 0 before the first: the shares are not used then. */
  #poolTokens = 0;
  /** Columns as of `refresh`: see `slownessAt`, `#backlogAt`. */
  slowness: Float64Array = new Float64Array(8);
  backlogMs: Float64Array = new Float64Array(8);

  constructor(workers: WorkerTable) {
    this.#workers = workers;
    this.share = new PrefillShare(workers);
  }

  reset(worker: WorkerIndex): void {
    this.#speeds[worker] = new WorkerSpeed();
    this.#queues.reset(worker);
    this.#prefillSlowness.reset(worker);
    this.#gapSlowness.reset(worker);
    this.share.reset(worker);
  }

  /** Fills `slowness` and `backlogMs` of all live workers. */
  refresh(nowMs: number): void {
    const { count, live, capacityBlocks, blockSize } = this.#workers;
    let poolTokens = 0;
    for (let worker = 0; worker < count; worker++) {
      if (live[worker] === 0) continue;
      poolTokens += capacityBlocks[worker]! * blockSize[worker]!;
      this.refreshOne(worker, nowMs);
    }
    this.#poolTokens = Math.max(1, poolTokens);
  }

  /** Fills `slowness` and `backlogMs` of one worker. O(1) */
  refreshOne(worker: WorkerIndex, nowMs: number): void {
    if (this.slowness.length <= worker) this.#grow();
    const speed = this.#speeds[worker]!;
    if (speed.groupEndMs !== 0 && nowMs - speed.groupEndMs >= togetherMs) this.#endGroup(worker, speed);
    const slowness = this.slownessAt(worker, nowMs);
    this.slowness[worker] = slowness;
    this.backlogMs[worker] = this.#backlogAt(worker, slowness, nowMs);
  }

  /**
   * Time of `promptCount` equal prompts on a worker as fast as the pool.
   * @param uncachedTokens of all prompts
   * @param cachedTokens of each prompt
   */
  workMs(uncachedTokens: number, cachedTokens: number, promptCount = 1): number {
    const pairs = promptCount * attendedPairs(uncachedTokens / promptCount, cachedTokens);
    return this.#prefill.workMs(uncachedTokens, pairs);
  }

  /** Fixed time of a group of prompts on a worker as fast as the pool. */
  get fixedMs(): number {
    return this.#prefill.fixedMs;
  }

  /** Time per token of each stream if a worker as fast as the pool decodes `requests` with this context. */
  gapMs(requests: number, contextTokens: number): number {
    return this.#decode.gapMs(requests, contextTokens);
  }

  /**
   * max(prefill, gaps), each relative to the pool. If the head of the queue is overdue: the time that it has taken so
   * far, as a multiple of the prediction.
   */
  slownessAt(worker: WorkerIndex, nowMs: number): number {
    const slowness = Math.max(this.#prefillSlowness.at(worker, nowMs), this.#gapSlowness.at(worker, nowMs));
    const head = this.#queues.heads[worker];
    if (!head) return slowness;
    // Prompts of other routers may be ahead of it.
    const { othersPrefillTokens, othersPrefillPairs } = this.#workers;
    const tokens = head.uncachedTokens + othersPrefillTokens[worker]!;
    const dueMs =
      this.#prefill.workMs(tokens, head.prefillPairs + othersPrefillPairs[worker]!) + 3 * this.#prefill.fixedMs;
    return Math.max(slowness, (nowMs - this.#queues.sinceMs[worker]!) / (dueMs + stallSlackMs));
  }

  /** Whether the worker still has to compute a prompt booked before booking number `order`. */
  isBehind(worker: WorkerIndex, order: number): boolean {
    const head = this.#queues.heads[worker];
    return !!head && head.order < order;
  }

  /** Whether more than one prompt is booked on the worker and not computed. Those of other routers count as one. */
  queuesSeveral(worker: WorkerIndex): boolean {
    const head = this.#queues.heads[worker] ?? null;
    return head !== null && (head.behind !== null || this.#workers.othersPrefillTokens[worker]! > 0);
  }

  /** Relative standard error of the slowness. 1: nothing is known. */
  uncertainty(worker: WorkerIndex): number {
    return this.#prefillSlowness.uncertainty(worker);
  }

  /** Call when prefill was booked and counted. */
  booked(record: BookingRecord, nowMs: number): void {
    const { worker } = record;
    const speed = this.#speeds[worker]!;
    if (!this.#queues.heads[worker]) {
      if (speed.groupEndMs !== 0) this.#endGroup(worker, speed);
      begin(speed, nowMs);
    }
    speed.prefillMs = nowMs;
    this.#queues.push(record, nowMs);
    if (this.#poolTokens > 0) this.share.booked(worker, record.uncachedTokens, this.#poolTokens);
  }

  /** @param observed false: the end is an estimate, so the model does not learn from it */
  prefillEnds(record: BookingRecord, observed: boolean, nowMs: number): void {
    const { worker } = record;
    if (!this.#queues.remove(record, nowMs)) return;
    const speed = this.#speeds[worker]!;
    speed.prefillMs = nowMs;
    speed.computedTokens = (speed.computedTokens + record.uncachedTokens) % computedWrap;
    speed.computedPairs = (speed.computedPairs + Math.round(record.prefillPairs)) % computedWrap;
    if (speed.groupEndMs !== 0 && nowMs - speed.groupEndMs >= togetherMs) this.#endGroup(worker, speed);
    if (speed.groupEndMs === 0 && !observed) {
      begin(speed, nowMs);
      return;
    }
    speed.groupEndMs = nowMs;
    speed.groupTokens += record.uncachedTokens;
    speed.groupPairs += record.prefillPairs;
  }

  /** Call when a booking ends. If its prompt was the head of the queue, the computed part is unknown. */
  ended(record: BookingRecord, nowMs: number): void {
    const { worker } = record;
    const isHead = this.#queues.heads[worker] === record;
    if (!this.#queues.remove(record, nowMs) || !isHead) return;
    const speed = this.#speeds[worker]!;
    if (speed.groupEndMs !== 0) this.#endGroup(worker, speed);
    begin(speed, nowMs);
  }

  /** The prefill of another router has changed. What the worker computes for it, it does not compute for this one. */
  othersChanged(worker: WorkerIndex, from: PrefillTotals, to: PrefillTotals, nowMs: number): void {
    const speed = this.#speeds[worker]!;
    const tokens = grownBy(from.computedTokens, to.computedTokens);
    const booked = tokens + to.prefillTokens - from.prefillTokens;
    if (booked > 0 && this.#poolTokens > 0) this.share.booked(worker, booked, this.#poolTokens);
    if (booked > 0 || tokens > 0 || to.prefillTokens > 0) speed.prefillMs = nowMs;
    if (tokens === 0) return;
    if (speed.groupEndMs !== 0 && nowMs - speed.groupEndMs >= togetherMs) this.#endGroup(worker, speed);
    speed.othersTokens += tokens;
    speed.othersPairs += grownBy(from.computedPairs, to.computedPairs);
  }

  /**
   * Call when an answer in one piece has arrived.
   * @param outputTokens reported by the engine
   */
  wholeAnswer(record: BookingRecord, outputTokens: number, nowMs: number): void {
    const { worker, uncachedTokens, isl } = record;
    const pairs = attendedPairs(uncachedTokens, isl - uncachedTokens);
    const ms = nowMs - record.bookedMs - record.backlogMs;
    if (!(ms > 0 && outputTokens > 0)) return;
    const predicted =
      this.#prefill.fixedMs + this.#prefill.workMs(uncachedTokens, pairs) + outputTokens * this.#prefill.outputTokenMs;
    const relative = this.#prefillSlowness.estimate(worker) / Math.exp(this.#prefillCentre);
    if (this.#prefill.outputTokenMs > 0) this.#prefillSlowness.sample(worker, ms, predicted, nowMs);
    this.#prefill.learnWhole(uncachedTokens, pairs, outputTokens, ms / relative);
    this.#prefillCentre += (Math.log(this.#prefillSlowness.estimate(worker)) - this.#prefillCentre) * centreGain;
  }

  /** A stream got more tokens. A sample covers at least `gapSampleMsMin`: its time divided by its tokens. */
  tokens(stream: BookingRecord, tokens: number, nowMs: number): void {
    this.#speeds[stream.worker]!.tokenMs = nowMs;
    if (stream.sampledMs === 0) {
      stream.sampledMs = nowMs;
      return;
    }
    stream.unsampledTokens += tokens;
    const elapsedMs = nowMs - stream.sampledMs;
    if (elapsedMs < gapSampleMsMin || stream.unsampledTokens === 0) return;
    const speed = this.#speeds[stream.worker]!;
    speed.streamedTokens = speed.streamedTokens * shownMemory + stream.unsampledTokens;
    speed.streamedMs = speed.streamedMs * shownMemory + elapsedMs;
    if (!this.#queues.heads[stream.worker] && speed.prefillMs <= stream.sampledMs && speed.gaps++ % gapsPerLesson === 0)
      this.#learnGap(stream, elapsedMs, nowMs);
    stream.sampledMs = nowMs;
    stream.unsampledTokens = 0;
  }

  /** O(1). All totals are integers. */
  readPrefill(worker: WorkerIndex, out: PrefillTotals): void {
    const { computedTokens, computedPairs } = this.#speeds[worker]!;
    out.prefillPairs = Math.round(this.#queues.pairs[worker]!);
    out.computedTokens = computedTokens;
    out.computedPairs = computedPairs;
  }

  /** When the worker last sent a token, which ends a step. */
  stepEndMs(worker: WorkerIndex): number {
    return this.#speeds[worker]!.tokenMs;
  }

  /** 0 before the first observation. */
  prefillTokensPerS(worker: WorkerIndex): number {
    const { tokens, ms, groupTokens, groupEndMs, groupFromMs } = this.#speeds[worker]!;
    const allMs = ms + Math.max(0, groupEndMs - groupFromMs);
    return allMs === 0 ? 0 : ((tokens + groupTokens) / allMs) * 1000;
  }

  /** 0 before the first observation. */
  tokenGapMs(worker: WorkerIndex): number {
    const { streamedTokens, streamedMs } = this.#speeds[worker]!;
    return streamedTokens === 0 ? this.#prefill.outputTokenMs : streamedMs / streamedTokens;
  }

  /** Work of the queues of all routers, minus the time that the head of this router's has had. */
  #backlogAt(worker: WorkerIndex, slowness: number, nowMs: number): number {
    const { heads, tokens, pairs, sinceMs } = this.#queues;
    const othersTokens = this.#workers.othersPrefillTokens[worker]!;
    const othersPairs = this.#workers.othersPrefillPairs[worker]!;
    const head = heads[worker];
    if (!head) return othersTokens === 0 ? 0 : slowness * this.#prefill.workMs(othersTokens, othersPairs);
    const headMs = this.#prefill.workMs(head.uncachedTokens, head.prefillPairs);
    const doneMs = Math.min((nowMs - sinceMs[worker]!) / slowness, headMs);
    const allMs = this.#prefill.workMs(tokens[worker]! + othersTokens, pairs[worker]! + othersPairs);
    return slowness * Math.max(0, allMs - doneMs);
  }

  #grow(): void {
    const { length } = this.#workers.live;
    const columns = [this.slowness, this.backlogMs];
    [this.slowness, this.backlogMs] = [new Float64Array(length), new Float64Array(length)];
    this.slowness.set(columns[0]!);
    this.backlogMs.set(columns[1]!);
  }

  #endGroup(worker: WorkerIndex, speed: WorkerSpeed): void {
    const { groupFromMs, groupEndMs } = speed;
    const groupTokens = speed.groupTokens + speed.othersTokens;
    const groupPairs = speed.groupPairs + speed.othersPairs;
    begin(speed, groupEndMs);
    speed.groupEndMs = 0;
    speed.groupTokens = 0;
    speed.groupPairs = 0;
    const ms = groupEndMs - groupFromMs;
    if (!(ms > 0 && groupTokens > 0)) return;
    speed.tokens = speed.tokens * shownMemory + groupTokens;
    speed.ms = speed.ms * shownMemory + ms;
    const relative = this.#prefillSlowness.estimate(worker) / Math.exp(this.#prefillCentre);
    const predicted = this.#prefill.fixedMs + this.#prefill.workMs(groupTokens, groupPairs);
    this.#prefillSlowness.sample(worker, ms, predicted, groupEndMs);
    this.#prefill.learn(groupTokens, groupPairs, ms / relative);
    this.#prefillCentre += (Math.log(this.#prefillSlowness.estimate(worker)) - this.#prefillCentre) * centreGain;
  }

  #learnGap({ worker, unsampledTokens }: BookingRecord, elapsedMs: number, nowMs: number): void {
    const { runningRequests, activeBlocks, blockSize, othersRequests } = this.#workers;
    const requests = runningRequests[worker]! + othersRequests[worker]!;
    const context = (activeBlocks[worker]! + this.#workers.othersBlocks(worker)) * blockSize[worker]!;
    const gapMs = elapsedMs / unsampledTokens;
    const relative = this.#gapSlowness.estimate(worker) / Math.exp(this.#gapCentre);
    this.#gapSlowness.sample(worker, gapMs, this.#decode.gapMs(requests, context), nowMs);
    this.#decode.learn(requests, context, gapMs / relative);
    this.#gapCentre += (Math.log(this.#gapSlowness.estimate(worker)) - this.#gapCentre) * centreGain;
  }
}

/** The next group of prompts begins. */
function begin(speed: WorkerSpeed, nowMs: number): void {
  speed.groupFromMs = nowMs;
  speed.othersTokens = 0;
  speed.othersPairs = 0;
}

function grownBy(from: number, to: number): number {
  return to >= from ? to - from : to - from + computedWrap;
}
