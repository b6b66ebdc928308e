// What-if policy: the worker with the lowest predicted TTFT (Mooncake's Algorithm 1), given the engine's speed.

import { type Choice, lowestCost, type Policy } from '../choice/policy.ts';
import { type EngineModel, l40sLlama8bModel } from './engine-model.ts';
import { TtftForecast } from './ttft-forecast.ts';

export interface WhatIfOptions {
  /** Step times of a worker of speed 1. Default: Llama-3.1-8B on an L40S. */
  readonly engine?: EngineModel;
  /** Speed of each worker relative to `engine`, by worker index. Default 1. */
  readonly speeds?: readonly number[];
}

/**
 * cost(w) = TTFT(w) / speed(w), in ms, with u uncached tokens, c cached tokens and B tokens per step:
 *   TTFT(w)    = (backlog(w) + work(u, c)) x slow(w) + ceil(u / B) x overhead
 *   work(u, c) = u x gemm(B) / B + attention x u x (c + u / 2)
 *   backlog(w) = max(0, work of the prefills booked - min(now - anchor, work of the head)); the anchor is when the head
 *                became the head
 *   slow(w)    = (gemm(B) + prompt tokens decoding x kvRead + overhead) / (B - d) / (gemm(B) / B), d = min(decoding, B / 2)
 * Source: Mooncake (arXiv 2407.00079), Algorithm 1 without transfers.
 */
export function whatIf(options: WhatIfOptions = {}): Policy<TtftForecast> {
  const { engine = l40sLlama8bModel, speeds = [] } = options;
  return {
    name: 'what-if',
    monotone: true,
    usesOverlap: true,
    init: () => new TtftForecast(engine),
    choose({ nowMs, isl }, candidates, random, forecast): Choice {
      const { count, worker, cost, uncachedTokens, othersPrefillTokens } = candidates;
      for (let i = 0; i < count; i++) {
        const uncached = uncachedTokens[i]!;
        const ttftMs = forecast.ttftMs(worker[i]!, uncached, isl - uncached, nowMs, othersPrefillTokens[i]!);
        cost[i] = ttftMs / (speeds[worker[i]!] ?? 1);
      }
      return lowestCost(candidates, random);
    },
    onBooked: (forecast, booking, { nowMs }) => forecast.booked(booking, nowMs),
    onFirstToken: (forecast, booking, nowMs) => forecast.firstToken(booking, nowMs),
    onReleased: (forecast, booking) => forecast.released(booking),
    onWorkerRemoved: (forecast, worker) => forecast.forget(worker),
  };
}
