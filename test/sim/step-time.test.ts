// The step-time profiles at the points to which they were fitted.

import { describe, expect, it } from 'vitest';
import { l40sLlama8b, l40sLlama8bAnalytic, type StepLoad, stepTimeProfiles } from '../../src/sim/index.ts';

function decode(batch: number, context: number): StepLoad {
  return {
    tokens: batch,
    prefillTokens: 0,
    prefillPairs: 0,
    decodeContextTokens: batch * context,
    sequences: batch,
    sampled: batch,
  };
}

function prefill(tokens: number, start: number): StepLoad {
  return {
    tokens,
    prefillTokens: tokens,
    prefillPairs: tokens * start + (tokens * (tokens + 1)) / 2,
    decodeContextTokens: 0,
    sequences: 1,
    sampled: 0,
  };
}

function both(a: StepLoad, b: StepLoad): StepLoad {
  return {
    tokens: a.tokens + b.tokens,
    prefillTokens: a.prefillTokens + b.prefillTokens,
    prefillPairs: a.prefillPairs + b.prefillPairs,
    decodeContextTokens: a.decodeContextTokens + b.decodeContextTokens,
    sequences: a.sequences + b.sequences,
    sampled: a.sampled + b.sampled,
  };
}

describe('step times', () => {
  it.each([
    [1, 1000, 22.22, 24.8],
    [8, 1000, 23.75, 26.3],
    [16, 1000, 25.5, 28.0],
    [32, 1000, 29.0, 31.6],
    [64, 1000, 36.0, 39.1],
    [128, 1000, 50.0, 54.8],
    [256, 700, 63.2, 72.9],
    [32, 4000, 47.5, 50.5],
  ])('decode of %i x %i', (batch, context, fittedMs, analyticMs) => {
    expect(Math.abs(l40sLlama8b(decode(batch, context)) - fittedMs)).toBeLessThan(0.006);
    expect(Math.abs(l40sLlama8bAnalytic(decode(batch, context)) - analyticMs)).toBeLessThan(0.06);
  });

  it.each([
    [16, 0, 22.42, 24.7],
    [128, 0, 25.35, 27.9],
    [256, 0, 28.75, 34.1],
    [512, 0, 34.18, 49.6],
    [1024, 0, 65.46, 85.4],
    [2048, 0, 130.96, 162.7],
    [2048, 8192, 179.83, 209],
    [2048, 30720, 314.22, 336],
  ])('prefill of %i at %i', (tokens, start, fittedMs, analyticMs) => {
    expect(Math.abs(l40sLlama8b(prefill(tokens, start)) - fittedMs)).toBeLessThan(0.006);
    expect(Math.abs(l40sLlama8bAnalytic(prefill(tokens, start)) - analyticMs) / analyticMs).toBeLessThan(0.01);
  });

  it('mixes prefill and decode', () => {
    const decodes = decode(32, 1000);
    expect(l40sLlama8b(both(prefill(2016, 0), decodes))).toBeCloseTo(136.94, 2);
    expect(l40sLlama8b(both(prefill(480, 0), decodes))).toBeCloseTo(40.3, 2);
    expect(l40sLlama8bAnalytic(both(prefill(2016, 0), decodes))).toBeCloseTo(169, 0);
    expect(l40sLlama8bAnalytic(both(prefill(480, 0), decodes))).toBeCloseTo(56, 0);
  });

  it('has no jump between the pieces of the fit', () => {
    for (const tokens of [256, 512, 1024]) {
      const gap = l40sLlama8b(prefill(tokens + 1, 0)) - l40sLlama8b(prefill(tokens, 0));
      expect(gap).toBeGreaterThan(0);
      expect(gap).toBeLessThan(0.1);
    }
  });

  it('has a constant profile', () => {
    expect(stepTimeProfiles.constant(prefill(2048, 0))).toBe(stepTimeProfiles.constant(decode(1, 1)));
  });
});
