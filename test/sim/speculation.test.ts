// Speculative decoding: several tokens a step, the same answers, and no lost block.

import { describe, expect, it } from 'vitest';
import { Engine, type EngineRequest, engineDefaults, engineProfiles } from '../../src/sim/index.ts';

const { speculation } = engineProfiles['l40s-llama8b-speculative'];

function answers(count: number, outputTokens: number, blocks = engineDefaults.blocks) {
  const run = (one: typeof speculation) => {
    const engine = new Engine({ ...engineDefaults, blocks, speculation: one });
    const requests: EngineRequest[] = [];
    for (let i = 0; i < count; i++) {
      const prompt = Uint32Array.from({ length: 50 + i }, (_, at) => at + i * 1000);
      const submitted = engine.submit({ prompt, outputTokensMax: outputTokens });
      if (submitted.kind === 'accepted') requests.push(submitted.request);
    }
    const given: number[] = [];
    for (let step = engine.step(); step !== null; step = engine.step()) {
      engine.assertConsistent();
      for (const request of step.sampled) given.push(request.sampledTokens);
    }
    return { engine, requests, given };
  };
  return { plain: run(null), speculative: run(speculation) };
}

describe('speculative decoding', () => {
  it('gives 1 to 4 tokens a step, 2.53 on average, and one at the first', () => {
    const { speculative } = answers(25, 500);
    const decoding = speculative.given.slice(25);
    expect(speculative.given.slice(0, 25).every((tokens) => tokens === 1)).toBe(true);
    expect(new Set(decoding)).toEqual(new Set([1, 2, 3, 4]));
    // 1 + 0.7 + 0.49 + 0.343; the last step of an answer is cut.
    const mean = decoding.reduce((sum, tokens) => sum + tokens) / decoding.length;
    expect(Math.abs(mean - 2.533)).toBeLessThan(0.06);
  });

  it('ends every answer at its length, with the same tokens', () => {
    const { plain, speculative } = answers(12, 77);
    for (const [at, request] of speculative.requests.entries()) {
      expect(request.outputTokens).toBe(77);
      expect(request.finishReason).toBe('length');
      expect(request.tokens.subarray(0, request.tokenCount)).toEqual(
        plain.requests[at]!.tokens.subarray(0, request.tokenCount),
      );
    }
    expect(speculative.engine.counters.outputTokens).toBe(12 * 77);
    expect(speculative.engine.counters.steps).toBeLessThan(0.6 * plain.engine.counters.steps);
  });

  it('preempts and resumes when the pool is full', () => {
    const { speculative } = answers(12, 100, 60);
    expect(speculative.engine.counters.preemptions).toBeGreaterThan(0);
    expect(speculative.requests.every(({ outputTokens }) => outputTokens === 100)).toBe(true);
    expect(speculative.engine.kvUsage).toBe(0);
  });
});
