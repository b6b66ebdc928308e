// Simulated engines with SGLang's cache, behind the gateway.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { atRest, getJson, Harness, loads, post } from './harness.ts';

const model = 'sim-sglang';
const sentence = 'The quick brown fox jumps over the lazy dog while seven wizards watch the moon rise again. ';

let harness: Harness;
let fleet: SimWorkers;
let gateway: Gateway;

beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
  await fleet.close();
});

async function start(options: StartOptions): Promise<void> {
  const fleetOptions = { count: 2, port: 0, model, speedup: 50, cache: 'radix', legacyReplay: true } as const;
  fleet = await startSimWorkers({ ...fleetOptions, ...options });
  const workers = fleet.workers.map(({ url }) => url);
  gateway = await harness.gateway({ workers, tokenizer: 'builtin', injectUsage: true }, 2, [model]);
}

interface DecisionJson {
  readonly overlapTokens: number;
  readonly actualCachedTokens: number;
}

/** Conversations, one turn after the other, with more content than the caches hold. */
async function talk(conversations: number, turns: number): Promise<DecisionJson[]> {
  const histories = Array.from({ length: conversations }, (_, i) => `conversation ${i}: `);
  for (let turn = 0; turn < turns; turn++) {
    for (const [i, history] of histories.entries()) {
      const prompt = `${history}${sentence.repeat(3)} turn ${turn}`;
      const answer = await post(gateway, '/v1/completions', { model, prompt, max_tokens: 8, stream: true });
      expect(answer.status).toBe(200);
      histories[i] = prompt;
      await atRest(gateway);
      // The events of an answer's end may arrive after it.
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  }
  const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: DecisionJson[] };
  expect(decisions).toHaveLength(conversations * turns);
  return decisions;
}

describe('SGLang caches', () => {
  it('with pages of 16 tokens hold exactly the predicted blocks, also after evictions', async () => {
    await start({ blockSize: 16, blocks: 60 });
    const decisions = await talk(6, 4);
    for (const { overlapTokens, actualCachedTokens } of decisions) expect(overlapTokens).toBe(actualCachedTokens);
    expect(decisions.some(({ actualCachedTokens }) => actualCachedTokens >= 64)).toBe(true);
    const cached = fleet.workers.map(({ runtime }) => runtime!.engine.cachedContents().length);
    expect((await loads(gateway)).workers.map(({ heldBlocks }) => heldBlocks)).toEqual(cached);
  });

  it('with pages of one token hold the predicted blocks, within one block', async () => {
    await start({ blockSize: 1, blocks: 960, kvEventsFormat: 'sglang-map' });
    const decisions = await talk(6, 3);
    for (const { overlapTokens, actualCachedTokens } of decisions) {
      expect(actualCachedTokens - overlapTokens).toBeGreaterThanOrEqual(0);
      expect(actualCachedTokens - overlapTokens).toBeLessThan(16);
    }
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { pageSize: number; trust: object }[] };
    for (const worker of workers) expect(worker).toMatchObject({ pageSize: 1, trust: { kind: 'exact' } });
  });
});
