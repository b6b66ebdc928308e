// A gateway over several kinds of engines that restart and whose events are lost, doubled and late; the index must be
// correct at the end.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { BlockHasher } from '../../src/core/blocks/block-hash.ts';
import { Random } from '../../src/core/random.ts';
import { type Gateway, startGateway } from '../../src/gateway/index.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import type { StartOptions } from '../../src/worker/index.ts';
import { eventually } from '../e2e/harness.ts';
import { longRingMin, SoakEngine } from './soak-engine.ts';

/** All event formats and block sizes, with and without replay; small caches, so that blocks are evicted constantly. */
const kinds: readonly StartOptions[] = [
  { kvEventsFormat: 'map', blockSize: 16, blocks: 100 },
  { kvEventsFormat: 'array11', blockSize: 32, blocks: 60, legacyReplay: true, kvEventsTopic: 'kv@soak' },
  { cache: 'radix', kvEventsFormat: 'sglang-array', blockSize: 1, blocks: 1500, legacyReplay: true },
  { kvEventsFormat: 'map', kvEventsHashes: 'bytes', blockSize: 16, blocks: 100, kvReplay: false },
  { kvEventsFormat: 'array7', blockSize: 8, blocks: 200, bufferSteps: 20 },
];
const decisionsMax = 100;
const clientCount = 4;
/** Prompts are a family's prefix and a tail, so that prefixes are shared and caches are full. */
const familyCount = 12;
const prefixTokens = 96;
const tailTokensMax = 200;
const restartEveryMs = 1500;
const downMsMax = 300;
const resetEveryMs = 2300;
/** Growth of used memory after the first third, after garbage collection; rings and compiled code grow before that. */
const growthBytesMax = 48 * 1024 * 1024;

export interface SoakReport {
  readonly requests: number;
  readonly failures: number;
  readonly restarts: number;
  readonly growthBytes: number;
  readonly feeds: readonly object[];
}

interface WorkersAnswer {
  readonly workers: readonly {
    readonly url: string;
    readonly blockSize: number;
    readonly trust: { readonly kind: string; readonly reason: string | null; readonly detail: string | null };
    readonly feed: object;
  }[];
}

/** @throws AssertionError as soon as a check fails */
export async function soak(durationMs: number, seed: number): Promise<SoakReport> {
  const tokenizer = await loadTokenizer('builtin');
  const engines = await Promise.all(
    kinds.map((options, i) => SoakEngine.start({ bufferSteps: longRingMin, ...options }, tokenizer, seed + i)),
  );
  const gateway = await startGateway({
    workers: engines.map(({ url }) => url),
    port: 0,
    tokenizer: 'builtin',
    logLevel: 'silent',
    probeIntervalMs: 25,
    shutdownGraceMs: 200,
    decisionsMax,
    seed,
  });
  try {
    await gateway.whenReady(10_000);
    return await run(gateway, engines, durationMs, new Random(seed));
  } finally {
    await gateway.close();
    await Promise.all(engines.map((engine) => engine.close()));
    await tokenizer.close();
  }
}

async function run(gateway: Gateway, engines: SoakEngine[], durationMs: number, random: Random): Promise<SoakReport> {
  const endMs = performance.now() + durationMs;
  const going = (): boolean => performance.now() < endMs;
  let requests = 0;
  let failures = 0;
  const client = async (): Promise<void> => {
    while (going()) {
      requests += 1;
      if (!(await complete(gateway.url, randomPrompt(random), random.below(24) + 1))) failures += 1;
    }
  };
  const trouble = async (everyMs: number, cause: (engine: SoakEngine) => Promise<void>): Promise<void> => {
    while (going()) {
      await pause(random.below(2 * everyMs));
      if (going()) await cause(engines[random.below(engines.length)]!);
    }
  };
  let usedBytes = 0;
  const watch = async (): Promise<void> => {
    await pause(durationMs / 3);
    usedBytes = usedAfterCollection();
  };
  const restartOne = (engine: SoakEngine): Promise<void> => engine.restart(random.below(downMsMax));
  const resetOne = (engine: SoakEngine): Promise<void> => engine.resetPrefixCache().catch(isConnectionLost);
  await Promise.all([
    ...Array.from({ length: clientCount }, client),
    trouble(restartEveryMs, restartOne),
    trouble(resetEveryMs, resetOne),
    watch(),
  ]);
  const growthBytes = usedAfterCollection() - usedBytes;
  expect(requests).toBeGreaterThan(failures);
  await settle(gateway, engines, random);
  for (const engine of engines) engine.assertTwinTrue();
  const { workers } = await describe(gateway);
  for (const engine of engines) compareIndex(gateway, engine, workers.find(({ url }) => url === engine.url)!.blockSize);
  expect(growthBytes).toBeLessThan(growthBytesMax);
  const restarts = engines.reduce((sum, engine) => sum + engine.restarts, 0);
  return { requests, failures, restarts, growthBytes, feeds: workers.map(({ feed }) => feed) };
}

/** Stops the faults, and waits until losses are repaired, or reported and dropped. */
async function settle(gateway: Gateway, engines: readonly SoakEngine[], random: Random): Promise<void> {
  const router = gateway.router('soak')!;
  await eventually(() => router.liveBookings === 0, 10_000);
  await gateway.whenReady(10_000);
  for (const engine of engines) {
    engine.faulty = false;
    // If losses can't be repaired, only an empty cache is known for certain.
    if (!engine.mends) await engine.resetPrefixCache();
    for (let i = 0; i < 10; i++) expect(await complete(engine.url, randomPrompt(random), 4)).toBe(true);
  }
  const deadlineMs = performance.now() + 15_000;
  for (;;) {
    await complete(gateway.url, randomPrompt(random), 4);
    const { workers } = await describe(gateway);
    const inexact = workers.filter(({ trust }) => trust.kind !== 'exact');
    if (inexact.length === 0) break;
    if (performance.now() > deadlineMs) expect(inexact).toEqual([]);
  }
  await eventually(() => router.liveBookings === 0);
  // Sent batches are applied a moment later.
  await pause(300);
  router.assertConsistent();
}

/** Asserts that the index has exactly the engine's blocks, and the right overlap of each known prompt. */
function compareIndex(gateway: Gateway, engine: SoakEngine, blockSize: number): void {
  const router = gateway.router('soak')!;
  const load = router.loads().find(({ id }) => id === `${engine.url}#0`)!;
  const held = engine.twin.chains(blockSize);
  expect({ engine: load.id, heldBlocks: load.heldBlocks }).toEqual({ engine: load.id, heldBlocks: held.size });
  expect(load).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
  const hasher = new BlockHasher();
  const others = new Set(router.loads().flatMap(({ index }) => (index === load.index ? [] : [index])));
  for (const chain of held) {
    const tokens = chain.split(',').map(Number);
    let run = 0;
    while (held.has(tokens.slice(0, (run + 1) * blockSize).join()) && (run + 1) * blockSize <= tokens.length) run += 1;
    const hashes = router.blockSizes().map((size) => hasher.hash(Uint32Array.from(tokens), size));
    const routed = router.route({ prompts: [{ isl: tokens.length, hashes }], excluded: others }, performance.now());
    if (routed.kind === 'refused') throw new Error(routed.reason);
    expect(routed.decision.overlapBlocks).toBe(run);
    for (const booking of routed.bookings) router.release(booking, 'failed', performance.now());
  }
}

function randomPrompt(random: Random): number[] {
  const family = random.below(familyCount);
  const tail = random.below(tailTokensMax) + 1;
  const variant = random.below(4);
  return Array.from({ length: prefixTokens + tail }, (_, i) => (i < prefixTokens ? family : 100 + variant) * 300 + i);
}

/** @returns whether it was answered; engines may die while they answer */
async function complete(url: string, prompt: readonly number[], outputTokens: number): Promise<boolean> {
  try {
    const response = await fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'soak', prompt, max_tokens: outputTokens, ignore_eos: true, stream: true }),
    });
    const text = await response.text();
    return response.ok && text.endsWith('data: [DONE]\n\n');
  } catch (error) {
    isConnectionLost(error);
    return false;
  }
}

function isConnectionLost(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}

async function describe(gateway: Gateway): Promise<WorkersAnswer> {
  return (await (await fetch(`${gateway.adminUrl}/workers`)).json()) as WorkersAnswer;
}

function usedAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
