// The predicting policies on examples calculated by hand: backlog, slowdown, TTFT, marginal cost.

import { describe, expect, it } from 'vitest';
import { Random } from '../../../src/core/index.ts';
import { type EngineModel, l40sLlama8bModel } from '../../../src/core/policies/engine-model.ts';
import { type MarginalCostOptions, marginalCost } from '../../../src/core/policies/marginal-cost.ts';
import { TtftForecast } from '../../../src/core/policies/ttft-forecast.ts';
import { type WhatIfOptions, whatIf } from '../../../src/core/policies/what-if.ts';
import { l40sLlama8b } from '../../../src/sim/index.ts';
import { bookingOf, candidatesOf, requestOf } from './columns.ts';

/** Round figures: 0.1 ms a prefill token, attention 1e-6 ms a pair, 0.001 ms a token of decoding context, 5 ms a step. */
const engine: EngineModel = {
  stepTokensMax: 1000,
  gemmMs: (tokens) => 0.1 * tokens,
  attentionMsPerPair: 1e-6,
  kvReadMsPerToken: 0.001,
  stepOverheadMs: 5,
  decodeTokenMs: 0.02,
};

/** 1000 tokens, nothing cached: work 100 + 1e-6 x 1000 x 500 = 100.5 ms. */
const long = bookingOf(0, 0, { isl: 1000, uncachedTokens: 1000 });
/** 500 of 1000 tokens cached: work 50 + 1e-6 x 500 x (500 + 250) = 50.375 ms. */
const half = bookingOf(0, 1, { isl: 1000, uncachedTokens: 500 });

/** Booked at 0 and 10 ms; the first one's first token at 90 ms. */
function busyForecast(): TtftForecast {
  const forecast = new TtftForecast(engine);
  forecast.booked(long, 0);
  forecast.booked(half, 10);
  forecast.firstToken(long, 90);
  return forecast;
}

describe('the forecast', () => {
  it('subtracts the time that the head has had from the backlog, at most its work', () => {
    const forecast = new TtftForecast(engine);
    expect(forecast.backlogMs(0, 0)).toBe(0);
    forecast.booked(long, 0);
    expect(forecast.backlogMs(0, 0)).toBe(100.5);
    forecast.booked(half, 10);
    expect(forecast.backlogMs(0, 30)).toBeCloseTo(100.5 + 50.375 - 30, 9);
    expect(forecast.backlogMs(0, 200)).toBeCloseTo(50.375, 9);
    forecast.firstToken(long, 90);
    expect(forecast.backlogMs(0, 90)).toBeCloseTo(50.375, 9);
    expect(forecast.backlogMs(0, 100)).toBeCloseTo(40.375, 9);
    expect(forecast.backlogMs(0, 1000)).toBe(0);
    expect(forecast.backlogMs(1, 100)).toBe(0);
  });

  it('keeps the anchor when a request other than the head gets its first token', () => {
    const forecast = new TtftForecast(engine);
    forecast.booked(long, 0);
    forecast.booked(half, 10);
    forecast.firstToken(half, 40);
    expect(forecast.backlogMs(0, 60)).toBeCloseTo(100.5 - 60, 9);
  });

  it('anchors the next request when the head ends without a first token', () => {
    const forecast = new TtftForecast(engine);
    forecast.booked(long, 0);
    forecast.booked(half, 10);
    forecast.booked(bookingOf(1, 2), 30);
    forecast.released(long);
    expect(forecast.backlogMs(0, 40)).toBeCloseTo(50.375 - 10, 9);
    expect(forecast.decodingTokens(0)).toBe(0);
  });

  it('is empty when nothing is in flight', () => {
    const forecast = busyForecast();
    expect(forecast.decodingTokens(0)).toBe(1000);
    forecast.released(long);
    forecast.released(half);
    expect(forecast.decodingTokens(0)).toBe(0);
    expect(forecast.backlogMs(0, 90)).toBe(0);
    expect(forecast.ttftMs(0, 700, 300, 90)).toBe(forecast.ttftMs(1, 700, 300, 90));
  });

  it('asserts that bookings were announced', () => {
    expect(() => new TtftForecast(engine).firstToken(long, 0)).toThrow('a booking begins with onBooked');
  });
});

/** Costs at 100 ms of 1500 uncached tokens on the busy worker 0 and on idle ones. */
function costs(options: WhatIfOptions): number[] {
  const candidates = candidatesOf({ uncachedTokens: 1500 }, { uncachedTokens: 1500 });
  whatIf({ engine, ...options }).choose(requestOf(1500, [], 100), candidates, new Random(1), busyForecast());
  return [...candidates.cost];
}

describe('what-if', () => {
  it('costs (backlog + work) x slowdown + its own steps, in ms', () => {
    // work(1500, 0) = 150 + 1e-6 x 1500 x 750 = 151.125.
    // Busy: backlog 40.375; slow = (100 + 1000 x 0.001 + 5) / (1000 - 1) / 0.1 = 106 / 99.9 = 1.0610611.
    //       191.5 x 1.0610611 + 2 x 5 = 213.193193.
    // Idle: slow = 105 / 1000 / 0.1 = 1.05; 151.125 x 1.05 + 10 = 168.68125.
    const [busy, idle] = costs({});
    expect(busy).toBeCloseTo(213.193193, 6);
    expect(idle).toBeCloseTo(168.68125, 9);
  });

  it('divides by the speed of the worker', () => {
    expect(costs({ speeds: [2] })[0]).toBeCloseTo(213.193193 / 2, 6);
    expect(costs({ speeds: [1, 0.5] })[1]).toBeCloseTo(337.3625, 9);
  });

  it('lets decoding requests take at most half of a step', () => {
    const forecast = new TtftForecast({ ...engine, stepTokensMax: 10 });
    for (let order = 0; order < 8; order++) {
      const one = bookingOf(0, order, { isl: 1 });
      forecast.booked(one, 0);
      forecast.firstToken(one, 0);
    }
    // slow = (1 + 8 x 0.001 + 5) / (10 - 5) / 0.1 = 12.016; 1 token: 0.1 + 5e-7 of work; one step of 5.
    expect(forecast.ttftMs(0, 1, 0, 0)).toBeCloseTo(0.1000005 * 12.016 + 5, 9);
  });

  it('models an L40S by default', () => {
    // 2048 tokens, idle: 0.0595 x 2048 = 121.856; attention 2048 x 1024 x 524288 / 180e9 = 6.108398; together 127.964398.
    // slow = (121.856 + 3) / 121.856 = 1.024619; 131.114806 + 3.
    const candidates = candidatesOf({ uncachedTokens: 2048 }, { uncachedTokens: 2048 });
    const policy = whatIf();
    expect(policy.choose(requestOf(2048), candidates, new Random(1), policy.init()).reason).toBe('tie');
    expect(candidates.cost[0]).toBeCloseTo(134.1148, 3);
  });

  it('has the constants of the simulated L40S', () => {
    const none = { tokens: 0, prefillTokens: 0, prefillPairs: 0, decodeContextTokens: 0, sequences: 0, sampled: 0 };
    const model = l40sLlama8bModel;
    for (const tokens of [1, 100, 256, 300, 512, 800, 1024, 2048]) {
      expect(model.gemmMs(tokens) + model.stepOverheadMs).toBeCloseTo(l40sLlama8b({ ...none, tokens }), 9);
    }
    const still = l40sLlama8b(none);
    expect(l40sLlama8b({ ...none, prefillPairs: 1e6 }) - still).toBeCloseTo(1e6 * model.attentionMsPerPair, 9);
    expect(l40sLlama8b({ ...none, decodeContextTokens: 1e6 }) - still).toBeCloseTo(1e6 * model.kvReadMsPerToken, 9);
  });
});

/** As `costs`, with 2 requests in flight on worker 0 and none on worker 1. */
function marginalCosts(options: MarginalCostOptions, outputTokens = 200): number[] {
  const candidates = candidatesOf({ uncachedTokens: 1500, runningRequests: 2 }, { uncachedTokens: 1500 });
  const state = { forecast: busyForecast(), outputTokens };
  marginalCost({ engine, ...options }).choose(requestOf(1500, [], 100), candidates, new Random(1), state);
  return [...candidates.cost];
}

describe('marginal-cost', () => {
  it('adds recomputation and decoding to the TTFT', () => {
    // Idle: step = 0.1 x 1 + 1500 x 0.001 + 5 = 6.6; decode = 200 x 6.6 = 1320; 0.03 x 1320 = 39.6.
    //       168.68125 + 1 x 151.125 + 39.6 = 359.40625.
    // Busy: step = 0.1 x 3 + (1000 + 1500) x 0.001 + 5 = 7.8; decode = 200 x 7.8 + 2 x 100 x (1.5 + 0.02) = 1864;
    //       213.193193 + 151.125 + 0.03 x 1864 + 2 x 1e-4 = 420.238393.
    const [busy, idle] = marginalCosts({ recomputeWeight: 1 });
    expect(idle).toBeCloseTo(359.40625, 9);
    expect(busy).toBeCloseTo(420.238393, 6);
  });

  it('weighs recomputation by twice the mean backlog in seconds by default, at most by four', () => {
    // (40.375 + 0) / 2 ms = 0.0201875 s: weight 0.040375; idle: 168.68125 + 0.040375 x 151.125 + 39.6.
    expect(marginalCosts({})[1]).toBeCloseTo(168.68125 + 6.101671875 + 39.6, 9);
    const forecast = busyForecast();
    forecast.booked(bookingOf(1, 7, { isl: 100_000, uncachedTokens: 100_000 }), 100);
    const candidates = candidatesOf({ uncachedTokens: 1500 }, { worker: 2, uncachedTokens: 1500 }, { worker: 1 });
    const policy = marginalCost({ engine, decodeWeight: 0 });
    policy.choose(requestOf(1500, [], 100), candidates, new Random(1), { forecast, outputTokens: 200 });
    // Worker 1 has a backlog of 10,000 + 5,000 ms; the mean of three is 5,013 ms, of which 2 s count.
    expect(candidates.cost[1]).toBeCloseTo(168.68125 + 4 * 151.125, 9);
  });

  it('divides everything but the tie term by the speed', () => {
    const [busy, idle] = marginalCosts({ recomputeWeight: 1, speeds: [0.5, 2] });
    expect(idle).toBeCloseTo(359.40625 / 2, 9);
    expect(busy).toBeCloseTo((420.238393 - 2e-4) * 2 + 2e-4, 5);
  });

  it('moves the mean output length by a hundredth with each answer', () => {
    const policy = marginalCost({ engine });
    const state = policy.init();
    const answered = bookingOf(0, 0, { outputTokens: [100, 200] });
    policy.onBooked?.(state, answered, requestOf(100));
    policy.onFirstToken?.(state, answered, 5);
    policy.onReleased?.(state, answered);
    // 200 + (300 - 200) / 100.
    expect(state.outputTokens).toBe(201);
    const failed = bookingOf(0, 1, { outputTokens: [0] });
    policy.onBooked?.(state, failed, requestOf(100));
    policy.onReleased?.(state, failed);
    expect(state.outputTokens).toBe(201);
    // 201 x 6.6 x 0.03 = 39.798.
    expect(marginalCosts({ recomputeWeight: 0 }, 201)[1]).toBeCloseTo(168.68125 + 39.798, 9);
  });
});
