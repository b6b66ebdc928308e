// Fills the columns of the speed model: for each candidate its backlog, the request's prefill, TTFT and TPOT there.

import type { BookingRecord } from '../ledger/active-blocks.ts';
import { Forecast } from '../ledger/forecast.ts';
import type { PlannedLoad } from '../ledger/planned-load.ts';
import { shareOf } from '../ledger/prefill-share.ts';
import type { SpeedModel } from '../ledger/speed-model.ts';
import type { FirstToken, Prompt, WorkerIndex, WorkerSpeed } from '../types.ts';
import type { Candidates } from './candidates.ts';
import { Hindsight } from './hindsight.ts';
import type { Policy } from './policy.ts';

/** Shorter answers are not used for the TPOT. */
const outputTokensMin = 8;

/** Readers of the columns before the choice: a policy, and late binding. */
export interface PredictionsOptions {
  readonly policy: Policy;
  readonly lateBinding?: object;
}

/** Writes its columns and the terms of bookings. It does not update the speed model. */
export class Predictions {
  readonly #speed: SpeedModel;
  readonly #forecast = new Forecast();
  readonly #hindsight: Hindsight;
  /** Whether the columns are read before the choice. If not, only the chosen row is filled. */
  readonly #usesSpeed: boolean;
  /** Load to count in addition to the ledger's; null except during a plan. */
  #planned: PlannedLoad | null = null;
  /** Time of the last `fill`. */
  #nowMs = 0;

  constructor(speed: SpeedModel, { policy, lateBinding }: PredictionsOptions) {
    this.#speed = speed;
    this.#hindsight = new Hindsight(speed);
    this.#usesSpeed = policy.usesSpeed === true || lateBinding !== undefined;
  }

  reset(worker: WorkerIndex): void {
    this.#forecast.reset(worker);
    this.#hindsight.reset(worker);
  }

  /** Treats several prompts as equally long. @param planned load to count as if it were booked */
  fill(candidates: Candidates, prompts: readonly Prompt[], nowMs: number, planned: PlannedLoad | null): void {
    if (!this.#usesSpeed) return;
    this.#planned = planned;
    this.#nowMs = nowMs;
    const { count, worker, prefillShare } = candidates;
    const isl = islOf(prompts);
    this.#speed.refresh(nowMs);
    const { share } = this.#speed;
    const { scale } = share;
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const load = share.scaledLoad(worker[i]!) * scale;
      prefillShare[i] = load;
      sum += load;
    }
    const mean = sum / count;
    for (let i = 0; i < count; i++) {
      prefillShare[i] = shareOf(prefillShare[i]!, mean);
      this.#fillRow(candidates, i, isl, prompts.length);
    }
  }

  /** Fills the row of the chosen candidate, if `fill` did not. */
  fillChosen(candidates: Candidates, position: number, prompts: readonly Prompt[], nowMs: number): void {
    if (this.#usesSpeed) return;
    this.#planned = null;
    this.#nowMs = nowMs;
    this.#speed.refreshOne(candidates.worker[position]!, nowMs);
    this.#fillRow(candidates, position, islOf(prompts), prompts.length);
  }

  /**
   * Keeps the terms of the chosen row until the actual times are known. With several prompts each has its own first
   * token, which the forecast does not distinguish.
   */
  booked(record: BookingRecord, candidates: Candidates, promptCount: number, position: number): void {
    if (promptCount > 1) return;
    const { backlogMs, prefillMs, ttftMs, slowness } = candidates;
    record.fixedMs = this.#speed.fixedMs * slowness[position]!;
    record.backlogMs = backlogMs[position]!;
    record.prefillMs = prefillMs[position]!;
    record.stepMs = this.#stepMs(candidates, position);
    record.gapMs = this.#gapMs(candidates, position);
    record.forecastTtftMs = ttftMs[position]!;
    if (this.#usesSpeed) this.#hindsight.booked(record, candidates);
  }

  /** Call when a prompt is computed. @returns null if its first token was not seen, or not predicted */
  prefillDone(record: BookingRecord, nowMs: number): FirstToken | null {
    const { worker, forecastTtftMs } = record;
    if (this.#usesSpeed) this.#hindsight.ended(record, nowMs);
    if (record.wholeAnswer || forecastTtftMs === 0) return null;
    const ttftMs = nowMs - record.bookedMs;
    this.#forecast.learnTtft(worker, record, forecastTtftMs, ttftMs);
    const regretMs = this.#usesSpeed ? this.#hindsight.firstToken(record, nowMs) : null;
    const bestWorker = this.#usesSpeed ? this.#hindsight.bestWorker : null;
    return { ttftMs, predictedTtftMs: forecastTtftMs, regretMs, bestWorker };
  }

  /** Call when an answer has ended normally. */
  answered(record: BookingRecord, nowMs: number): void {
    const { forecastTtftMs, reportedTokens, firstTokenMs } = record;
    if (forecastTtftMs === 0 || record.outputTokens.length > 1) return;
    if (record.wholeAnswer) this.#speed.wholeAnswer(record, reportedTokens, nowMs);
    else if (record.outputTokens[0]! >= outputTokensMin)
      this.#forecast.learnTpot(record.gapMs, (nowMs - firstTokenMs) / (record.outputTokens[0]! - 1));
  }

  speedOf(worker: WorkerIndex, nowMs: number): WorkerSpeed {
    this.#speed.refreshOne(worker, nowMs);
    const { count, errorShare, biasShare } = this.#forecast.errors(worker);
    return {
      slowness: this.#speed.slowness[worker]!,
      slownessError: this.#speed.uncertainty(worker),
      backlogMs: this.#speed.backlogMs[worker]!,
      forecasts: count,
      ttftErrorShare: count === 0 ? null : errorShare,
      ttftBiasShare: count === 0 ? null : biasShare,
      regrets: this.#hindsight.regrets(worker).count,
      regretSumMs: this.#hindsight.regrets(worker).sumMs,
    };
  }

  #fillRow(candidates: Candidates, i: number, isl: number, promptCount: number): void {
    const { worker, uncachedTokens, backlogMs, prefillMs, ttftMs, tpotMs, slowness } = candidates;
    const speed = this.#speed;
    const slow = speed.slowness[worker[i]!]!;
    const uncached = uncachedTokens[i]!;
    slowness[i] = slow;
    backlogMs[i] = speed.backlogMs[worker[i]!]! + (this.#planned?.prefillMs[worker[i]!] ?? 0);
    prefillMs[i] = slow * speed.workMs(uncached, (isl - uncached) / promptCount, promptCount);
    ttftMs[i] = this.#forecast.ttftMs(speed.fixedMs * slow, backlogMs[i]!, prefillMs[i]!, this.#stepMs(candidates, i));
    tpotMs[i] = this.#forecast.tpotMs(this.#gapMs(candidates, i));
  }

  /** Remaining time of the current step of the requests in flight. */
  #stepMs(candidates: Candidates, i: number): number {
    const { worker, runningRequests, activeBlocks, blockSize, slowness } = candidates;
    const running = runningRequests[i]!;
    if (running === 0) return 0;
    const stepMs = slowness[i]! * this.#speed.gapMs(running, activeBlocks[i]! * blockSize[i]!);
    return Math.max(0, stepMs - (this.#nowMs - this.#speed.stepEndMs(worker[i]!)));
  }

  /** Time of a step of the requests in flight and this one. */
  #gapMs(candidates: Candidates, i: number): number {
    const { runningRequests, activeBlocks, newBlocks, blockSize, slowness } = candidates;
    const context = (activeBlocks[i]! + newBlocks[i]!) * blockSize[i]!;
    return slowness[i]! * this.#speed.gapMs(runningRequests[i]! + 1, context);
  }
}

function islOf(prompts: readonly Prompt[]): number {
  let isl = 0;
  for (let i = 0; i < prompts.length; i++) isl += prompts[i]!.isl;
  return isl;
}
