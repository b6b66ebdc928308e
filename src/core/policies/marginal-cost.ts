// Marginal-cost policy: engine time that a placement costs all requests (own delay, recomputation, slower decoding).

import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';
import { l40sLlama8bModel } from './engine-model.ts';
import { TtftForecast } from './ttft-forecast.ts';
import type { WhatIfOptions } from './what-if.ts';

export interface MarginalCostOptions extends WhatIfOptions {
  /**
   * Weight of the request's own prefill work, which delays later arrivals too. `adaptive`: 2 x the mean backlog of the
   * candidates in seconds, at most 4, so that cache hits count more when prefill is scarce. The fixed form uses 1.
   * Default `adaptive`.
   */
  readonly recomputeWeight?: number | 'adaptive';
  /** Weight of the decode term. Default 0.03. */
  readonly decodeWeight?: number;
}

interface State {
  readonly forecast: TtftForecast;
  /** Running mean of the output length of ended requests. */
  outputTokens: number;
}

const outputTokensAtStart = 200;
const outputTokensGain = 0.01;
/** Breaks ties by requests in flight. */
const tieMsPerRequest = 1e-4;

/**
 * cost(w), in ms = (TTFT(w) + recomputeWeight x work(u, c) + decodeWeight x decode(w)) / speed(w) + 1e-4 x n, with TTFT
 * and work as in `what-if`, n requests in flight, p = ISL, O the mean output length so far, and
 *   decode(w) = O x step(w) + n x O / 2 x (p x kvRead + decodeToken)
 *   step(w)   = gemm(min(B, n + 1)) + (prompt tokens decoding + p) x kvRead + overhead
 * O / 2 is the mean output that running requests have left. The mean O starts at 200; each answer moves it by 1 %.
 */
export function marginalCost(options: MarginalCostOptions = {}): Policy<State> {
  const { engine = l40sLlama8bModel, speeds = [], recomputeWeight = 'adaptive', decodeWeight = 0.03 } = options;
  const { gemmMs, stepTokensMax, kvReadMsPerToken, stepOverheadMs, decodeTokenMs } = engine;
  return {
    name: 'marginal-cost',
    monotone: true,
    usesOverlap: true,
    init: () => ({ forecast: new TtftForecast(engine), outputTokens: outputTokensAtStart }),
    choose({ nowMs, isl }, candidates, random, { forecast, outputTokens }): Choice {
      const { count, worker, cost, uncachedTokens, runningRequests, othersPrefillTokens } = candidates;
      let weight = 0;
      if (recomputeWeight === 'adaptive') {
        let backlogMs = 0;
        for (let i = 0; i < count; i++) backlogMs += forecast.backlogMs(worker[i]!, nowMs);
        weight = 2 * Math.min(2, backlogMs / count / 1000);
      } else {
        weight = recomputeWeight;
      }
      for (let i = 0; i < count; i++) {
        const index = worker[i]!;
        const uncached = uncachedTokens[i]!;
        const cached = isl - uncached;
        const running = runningRequests[i]!;
        const contextMs = (forecast.decodingTokens(index) + isl) * kvReadMsPerToken;
        const stepMs = gemmMs(Math.min(stepTokensMax, running + 1)) + contextMs + stepOverheadMs;
        const perResidentMs = (outputTokens / 2) * (isl * kvReadMsPerToken + decodeTokenMs);
        const decodeMs = outputTokens * stepMs + running * perResidentMs;
        const ttftMs = forecast.ttftMs(index, uncached, cached, nowMs, othersPrefillTokens[i]!);
        const totalMs = ttftMs + weight * forecast.workMs(uncached, cached) + decodeWeight * decodeMs;
        cost[i] = totalMs / (speeds[index] ?? 1) + tieMsPerRequest * running;
      }
      return lowestCost(candidates, random);
    },
    onBooked: ({ forecast }, booking, { nowMs }) => forecast.booked(booking, nowMs),
    onFirstToken: ({ forecast }, booking, nowMs) => forecast.firstToken(booking, nowMs),
    onReleased(state, booking): void {
      state.forecast.released(booking);
      let output = 0;
      for (const tokens of booking.outputTokens) output += tokens;
      if (output > 0) state.outputTokens += (output - state.outputTokens) * outputTokensGain;
    },
    onWorkerRemoved: ({ forecast }, worker) => forecast.forget(worker),
  };
}
