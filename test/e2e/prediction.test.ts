import { afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/random.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { atRest, eventually, getJson, Harness, post } from './harness.ts';

const model = 'sim-prediction';
const blockSize = 16;
/** Both engines together hold a fraction of the blocks that the sequential phase computes. */
const smallBlocks = 80;
const largeBlocks = 4000;

let fleet: SimWorkers;
let harness: Harness;
let gateway: Gateway;

interface Made {
  readonly worker: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly actualPromptTokens: number | null;
  readonly actualCachedTokens: number | null;
  readonly account: Readonly<Record<string, number>> | null;
  readonly candidates: readonly { readonly worker: string; readonly promisedBlocks: number }[];
}

async function made(): Promise<Made[]> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Made[] }).decisions;
}

/** Whether every published batch has been applied. */
async function caughtUp(): Promise<boolean> {
  const { workers } = (await getJson(gateway, '/workers')) as { workers: { url: string; feed: { lastSeq: number } }[] };
  return fleet.workers.every(({ url, publisher }) => {
    return workers.find((worker) => worker.url === url)!.feed.lastSeq === publisher!.nextSeq - 1;
  });
}

const ask = (prompt: readonly number[], tokens: number): Promise<unknown> =>
  post(gateway, '/v1/completions', { model, prompt, max_tokens: tokens }, { 'x-mock-output-len': String(tokens) });

const newTokens = (random: Random, count: number): number[] =>
  Array.from({ length: count }, () => random.below(50_000));

/** Conversations that grow by a turn each time; every third prompt is repeated unchanged, cached to its last block. */
class Conversations {
  readonly #random: Random;
  readonly #prompts: number[][];

  constructor(seed: number, count: number) {
    this.#random = new Random(seed);
    this.#prompts = Array.from({ length: count }, () => newTokens(this.#random, 1 + this.#random.below(4 * blockSize)));
  }

  next(): readonly number[] {
    const prompt = this.#prompts[this.#random.below(this.#prompts.length)]!;
    if (this.#random.below(3) > 0) {
      // To the next block boundary, or anywhere.
      const toBoundary = blockSize - (prompt.length % blockSize);
      prompt.push(...newTokens(this.#random, this.#random.below(2) === 0 ? toBoundary : 1 + this.#random.below(40)));
    }
    if (prompt.length > 30 * blockSize) prompt.length = blockSize + 3;
    return [...prompt];
  }
}

async function start(blocks: number): Promise<void> {
  fleet = await startSimWorkers({ count: 2, port: 0, kvEventsPort: 0, model, speedup: 50, blocks, maxModelLen: 1024 });
  harness = new Harness();
  const workers = fleet.workers.map(({ url }) => url);
  gateway = await harness.gateway({ workers, tokenizer: 'builtin' }, workers.length, [model]);
}

afterEach(async () => {
  await atRest(gateway);
  await harness.end();
  await fleet.close();
});

describe('predicted cached tokens', () => {
  it("equal the engine's report for every sequential request, while caches evict", async () => {
    await start(smallBlocks);
    const conversations = new Conversations(1, 12);
    for (let i = 0; i < 150; i++) {
      await ask(conversations.next(), 1 + (i % 20));
      await eventually(caughtUp);
    }
    const all = await made();
    expect(all).toHaveLength(150);
    for (const { isl, overlapTokens, actualPromptTokens, actualCachedTokens, account } of all) {
      expect([isl, overlapTokens]).toEqual([actualPromptTokens, actualCachedTokens]);
      expect(account).toMatchObject({ promiseMissTokens: 0, indexMissTokens: 0, surplusTokens: 0 });
    }
    expect(all.filter(({ isl, overlapTokens }) => isl - overlapTokens === blockSize).length).toBeGreaterThan(5);
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    const count = (name: string): number =>
      [...metrics.matchAll(new RegExp(`^${name} (\\d+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0);
    expect(count('kvoyant_overlap_checks_total{worker="[^"]*",result="exact"}')).toBe(150);
    expect(count('kvoyant_overlap_error_tokens_bucket{le="0"}')).toBe(150);
    expect(count('kvoyant_prompt_token_mismatches_total{worker="[^"]*"}')).toBe(0);
    const removed = [...metrics.matchAll(/kvoyant_held_blocks{[^}]*} (\d+)/g)].map(([, held]) => Number(held));
    for (const held of removed) expect(held).toBeLessThan(smallBlocks);
  });

  it('equal it for every request without promised blocks, many at a time, while caches have space', async () => {
    await start(largeBlocks);
    const conversations = new Conversations(2, 20);
    const worker = async (): Promise<void> => {
      for (let i = 0; i < 25; i++) await ask(conversations.next(), 1 + (i % 20));
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    const all = await made();
    expect(all).toHaveLength(200);
    const certain = all.filter(
      ({ worker, candidates }) => candidates.find((one) => one.worker === worker)!.promisedBlocks === 0,
    );
    expect(certain.length).toBeGreaterThan(20);
    for (const { overlapTokens, actualCachedTokens } of certain) expect(overlapTokens).toBe(actualCachedTokens);
  });
});
