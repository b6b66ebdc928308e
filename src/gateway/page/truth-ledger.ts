// How right the router's predictions were: cached tokens and TTFT, over the last hour and since the start.

import type { DecisionRecord } from '../telemetry/decision-log.ts';
import type { Span } from './history-data.ts';
import {
  coarsePoints,
  coarseStepMs,
  finePerCoarse,
  finePoints,
  fineStepMs,
  SeriesRing,
  stepMsOf,
} from './series-ring.ts';
import type { Truth, TruthTotals } from './truth-data.ts';

/** Sums of one point, and since the start. */
class Sums {
  /** With and without usage, and what was predicted of them. */
  endedRequests = 0;
  endedPromptTokens = 0;
  endedPredictedTokens = 0;
  /** Whose engine told how many tokens it had cached; the sums below are of these. */
  requests = 0;
  promptTokens = 0;
  predictedCachedTokens = 0;
  actualCachedTokens = 0;
  ttftRequests = 0;
  ttftErrorSum = 0;
  ttftBiasSum = 0;
  workloadMissTokens = 0;
  routingMissTokens = 0;
  promiseMissTokens = 0;
  indexMissTokens = 0;
}

const misses = [
  'workloadMissTokens',
  'routingMissTokens',
  'promiseMissTokens',
  'indexMissTokens',
] as const satisfies readonly (keyof Sums)[];

const rollups = {
  endedRequests: 'sum',
  endedPromptTokens: 'sum',
  endedPredictedTokens: 'sum',
  requests: 'sum',
  promptTokens: 'sum',
  predictedCachedTokens: 'sum',
  actualCachedTokens: 'sum',
  ttftRequests: 'sum',
  ttftErrorSum: 'sum',
  ttftBiasSum: 'sum',
  workloadMissTokens: 'sum',
  routingMissTokens: 'sum',
  promiseMissTokens: 'sum',
  indexMissTokens: 'sum',
} as const satisfies Record<keyof Sums, 'sum'>;

const names = Object.keys(rollups) as (keyof Sums)[];
const nothingGiven = new Float64Array(names.length);

/** Fixed memory; each record costs a few additions. */
export class TruthLedger {
  readonly #ring = new SeriesRing<keyof Sums>(rollups, true);
  readonly #point = new Float64Array(names.length);
  #now = new Sums();
  readonly #all = new Sums();
  readonly #fates = {
    cachedTokens: 0,
    workloadMissTokens: 0,
    routingMissTokens: 0,
    promiseMissTokens: 0,
    indexMissTokens: 0,
    surplusTokens: 0,
  };
  readonly #checks = { exact: 0, over: 0, under: 0 };
  #tokenMismatches = 0;
  #regrets = 0;
  #regretSumMs = 0;
  #samples = 0;
  #endMs = 0;

  firstToken({ hindsight }: DecisionRecord): void {
    if (hindsight === null) return;
    const { ttftMs, predictedTtftMs, regretMs } = hindsight;
    if (regretMs !== null) {
      this.#regrets += 1;
      this.#regretSumMs += regretMs;
    }
    if (!(ttftMs > 0)) return;
    const bias = (predictedTtftMs - ttftMs) / ttftMs;
    for (const sums of [this.#now, this.#all]) {
      sums.ttftRequests += 1;
      sums.ttftErrorSum += Math.abs(bias);
      sums.ttftBiasSum += bias;
    }
  }

  /** Counts the same requests as `kvoyant_predicted_cached_tokens_total`. */
  ended({ usage, decision, account, known, outcome }: DecisionRecord): void {
    if (account !== null) {
      for (const fate of Object.keys(this.#fates) as (keyof typeof account)[]) this.#fates[fate] += account[fate];
      for (const miss of misses) this.#now[miss] += account[miss];
      const overTokens = account.promiseMissTokens + account.indexMissTokens;
      this.#checks[overTokens > 0 ? 'over' : account.surplusTokens > 0 ? 'under' : 'exact'] += 1;
    }
    if (outcome === 'done') {
      this.#now.endedRequests += 1;
      this.#now.endedPromptTokens += decision.isl;
      this.#now.endedPredictedTokens += decision.overlapTokens;
    }
    if (usage === null || usage.cachedTokens === null) return;
    if (outcome === 'done' && known === 'tokens' && account === null && usage.promptTokens !== decision.isl) {
      this.#tokenMismatches += 1;
    }
    for (const sums of [this.#now, this.#all]) {
      sums.requests += 1;
      sums.promptTokens += usage.promptTokens;
      sums.predictedCachedTokens += decision.overlapTokens;
      sums.actualCachedTokens += usage.cachedTokens;
    }
  }

  /** @param timeMs Unix time */
  sample(timeMs: number): void {
    this.#endMs = timeMs;
    this.#samples += 1;
    for (const [position, name] of names.entries()) this.#point[position] = this.#now[name];
    this.#now = new Sums();
    this.#ring.add(this.#point);
    if (this.#samples % finePerCoarse === 0) this.#ring.rollUp(nothingGiven);
  }

  /** Cached share of the prompt tokens of the last `seconds`, as engines told; null: none has. */
  hitRate(seconds: number): number | null {
    return this.#recentRatio('actualCachedTokens', 'promptTokens', seconds);
  }

  /** The same as predicted, of all requests that were answered whole; null: there is none. */
  predictedHitRate(seconds: number): number | null {
    return this.#recentRatio('endedPredictedTokens', 'endedPromptTokens', seconds);
  }

  /** Share of the requests answered whole whose engine told how many tokens it had cached; null: there is none. */
  toldShare(seconds: number): number | null {
    const share = this.#recentRatio('requests', 'endedRequests', seconds);
    // Broken answers may bring usage as well.
    return share === null ? null : Math.min(1, share);
  }

  /** `hitRate` of a time that may be longer than the fine points. */
  hitRateOfMinutes(minutes: number): number | null {
    if (minutes * 60 <= finePoints) return this.hitRate(minutes * 60);
    const points = Math.ceil((minutes * 60_000) / coarseStepMs);
    const sum = (name: 'promptTokens' | 'actualCachedTokens'): number =>
      this.#ring.points(name, 'coarse', points).reduce<number>((total, value) => total + (value ?? 0), 0);
    const promptTokens = sum('promptTokens');
    return promptTokens === 0 ? null : sum('actualCachedTokens') / promptTokens;
  }

  #recentRatio(of: keyof Sums, over: keyof Sums, seconds: number): number | null {
    const whole = this.#ring.recentSum(over, seconds);
    return whole === 0 ? null : this.#ring.recentSum(of, seconds) / whole;
  }

  series(span: Span): Omit<Truth, 'totals' | 'workers' | 'findings' | 'verdict'> {
    const columns = new Map(names.map((name) => [name, this.#ring.points(name, span, coarsePoints)]));
    const at = (name: keyof Sums): (number | null)[] => columns.get(name)!;
    const ifAny = (values: (number | null)[], counts: (number | null)[]): (number | null)[] =>
      values.map((value, point) => ((counts[point] ?? 0) > 0 ? value : null));
    const mean = (sums: (number | null)[], counts: (number | null)[]): (number | null)[] =>
      sums.map((sum, point) => ((counts[point] ?? 0) > 0 ? (sum ?? 0) / counts[point]! : null));
    return {
      span,
      stepMs: stepMsOf(span),
      endMs: span === 'fine' ? this.#endMs : this.#endMs - (this.#samples % finePerCoarse) * fineStepMs,
      promptTokens: ifAny(at('promptTokens'), at('requests')),
      predictedCachedTokens: ifAny(at('predictedCachedTokens'), at('requests')),
      actualCachedTokens: ifAny(at('actualCachedTokens'), at('requests')),
      misses: {
        workloadMissTokens: ifAny(at('workloadMissTokens'), at('requests')),
        routingMissTokens: ifAny(at('routingMissTokens'), at('requests')),
        promiseMissTokens: ifAny(at('promiseMissTokens'), at('requests')),
        indexMissTokens: ifAny(at('indexMissTokens'), at('requests')),
      },
      ttftErrorShare: mean(at('ttftErrorSum'), at('ttftRequests')),
      ttftBiasShare: mean(at('ttftBiasSum'), at('ttftRequests')),
    };
  }

  totals(): TruthTotals {
    const { requests, promptTokens, predictedCachedTokens, actualCachedTokens, ttftRequests } = this.#all;
    const { ttftErrorSum, ttftBiasSum } = this.#all;
    const share = (sum: number): number | null => (ttftRequests === 0 ? null : sum / ttftRequests);
    return {
      ...this.#fates,
      cachedTokens: actualCachedTokens,
      requests,
      promptTokens,
      predictedCachedTokens,
      ...this.#checks,
      tokenMismatches: this.#tokenMismatches,
      ttftRequests,
      ttftErrorShare: share(ttftErrorSum),
      ttftBiasShare: share(ttftBiasSum),
      regretMs: this.#regrets === 0 ? null : this.#regretSumMs / this.#regrets,
    };
  }
}
