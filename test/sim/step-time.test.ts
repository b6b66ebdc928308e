// The step-time profiles at the points that they were fitted to.

import { describe, expect, it } from 'vitest';
import {
  type EngineProfileName,
  engineProfileNames,
  engineProfiles,
  l40sLlama8b,
  l40sLlama8bAnalytic,
  type StepLoad,
} from '../../src/sim/index.ts';

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
    const constant = engineProfiles.constant.stepTimeFor(1000);
    expect(constant(prefill(2048, 0))).toBe(constant(decode(1, 1)));
  });
});

describe('other engines', () => {
  const timeOf = (name: EngineProfileName) => engineProfiles[name].stepTimeFor(engineProfiles[name].kvTokens);

  it.each([
    [512, 24.4],
    [2048, 49.4],
    [8192, 169.1],
  ])('dynamo-poly: prefill of %i tokens', (tokens, ms) => {
    expect(Math.abs(timeOf('dynamo-poly')(prefill(tokens, 0)) - ms)).toBeLessThan(0.06);
    // Only the tokens of the step count, not where they stand in the prompt.
    expect(timeOf('dynamo-poly')(prefill(tokens, 30_000))).toBe(timeOf('dynamo-poly')(prefill(tokens, 0)));
  });

  it('dynamo-poly: decode is concave in the used KV and blind to the batch', () => {
    const { kvTokens } = engineProfiles['dynamo-poly'];
    const at = (share: number, batch: number): number =>
      timeOf('dynamo-poly')(decode(batch, (share * kvTokens) / batch));
    expect(at(0.5, 64)).toBeCloseTo(26.31, 2);
    expect(at(1, 64)).toBeCloseTo(34.01, 2);
    expect(at(0.5, 8)).toBe(at(0.5, 64));
    expect(at(0.5, 64) - at(0.25, 64)).toBeGreaterThan(at(0.75, 64) - at(0.5, 64));
    const both = { ...prefill(512, 0), decodeContextTokens: kvTokens / 2 };
    expect(timeOf('dynamo-poly')(both)).toBeCloseTo(24.4 + 26.31, 1);
  });

  it('h100x2-qwen32b: prefills at the published 20,480 tokens/s, and reads its weights once per step', () => {
    const time = timeOf('h100x2-qwen32b');
    const prefillTokensPerS = 8192 / ((time(prefill(8192, 0)) - time(prefill(1, 8192 * 0))) / 1000);
    expect(Math.abs(prefillTokensPerS / 20_480 - 1)).toBeLessThan(0.15);
    // 64e9 bytes over two cards of 3.35e12 B/s take 9.55 ms; BLIS's factor makes it 13.0, its fixed parts 2.2 ms.
    expect(time(decode(1, 0))).toBeCloseTo(13.0 + 2.2, 0);
    // 131,072 bytes a card and context token: 39 ns, times 1.947.
    expect((time(decode(32, 4000)) - time(decode(32, 0))) / (32 * 4000)).toBeCloseTo(76.2e-6, 6);
  });

  it('h100-llama8b: decodes about three times, and prefills about 2.5 times as fast as the L40S', () => {
    const [h100, l40s] = [timeOf('h100-llama8b'), timeOf('l40s-llama8b')];
    expect(l40s(decode(32, 1000)) / h100(decode(32, 1000))).toBeGreaterThan(2.7);
    expect(l40s(decode(32, 1000)) / h100(decode(32, 1000))).toBeLessThan(3.5);
    expect(l40s(prefill(2048, 0)) / h100(prefill(2048, 0))).toBeGreaterThan(2.2);
    expect(l40s(prefill(2048, 0)) / h100(prefill(2048, 0))).toBeLessThan(3);
  });

  it('l40s-llama8b-speculative: verifies four tokens of each sequence, and pays for the drafts', () => {
    const [speculative, plain] = [timeOf('l40s-llama8b-speculative'), timeOf('l40s-llama8b')];
    expect(speculative(decode(16, 1000))).toBeCloseTo(plain({ ...decode(16, 1000), tokens: 64 }) + 3 * 2.2, 9);
    expect(speculative(prefill(2048, 0))).toBe(plain(prefill(2048, 0)));
  });

  it.each(engineProfileNames)('%s: more work never takes less time', (name) => {
    const time = timeOf(name);
    for (const size of [1, 16, 64, 250]) {
      expect(time(decode(2 * size, 500))).toBeGreaterThanOrEqual(time(decode(size, 500)));
      expect(time(prefill(2 * size, 0))).toBeGreaterThanOrEqual(time(prefill(size, 0)));
      expect(time(both(prefill(size, 0), decode(8, 500)))).toBeGreaterThanOrEqual(time(decode(8, 500)));
    }
  });
});
