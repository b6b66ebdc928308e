// Gateways over simulated engines with faulty events: each fault leads to its trust state, and is repaired from there.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Publisher } from 'zeromq';
import type { BlocksStored, KvEvent } from '../../../src/core/index.ts';
import type { Gateway } from '../../../src/gateway/index.ts';
import { constantStepTime } from '../../../src/sim/index.ts';
import { loadTokenizer } from '../../../src/tokens/load-tokenizer.ts';
import type { Tokenizer } from '../../../src/tokens/tokenizer.ts';
import { encodeKvBatch, writeKvFrames } from '../../../src/wire/kv-events.ts';
import { type PublishFault, type SimWorkers, type StartOptions, startSimWorkers } from '../../../src/worker/index.ts';
import { eventually, getJson, Harness, post } from '../../e2e/harness.ts';
import { freeEndpoint } from './free-endpoint.ts';

interface Shown {
  readonly blockSize: number;
  readonly pageSize: number;
  readonly capacityBlocks: number;
  readonly capacityFrom: string;
  readonly trust: { readonly kind: string; readonly reason: string | null };
  readonly events: { readonly appliedBlocks: number };
}

const model = 'sim';
let harness: Harness;
let tokenizer: Tokenizer;
let fleet: SimWorkers | null = null;
/** Fault of the batch with that number. */
let faults: Map<number, PublishFault>;

beforeAll(async () => {
  tokenizer = await loadTokenizer('builtin');
});
afterAll(() => tokenizer.close());
beforeEach(() => {
  harness = new Harness();
  faults = new Map();
});
afterEach(async () => {
  await harness.end();
  await fleet?.close();
});

async function start(options: StartOptions = {}, workerSetting = '', tokenizerName = 'builtin'): Promise<Gateway> {
  fleet = await startSimWorkers({
    port: 0,
    model,
    tokenizer,
    stepTime: constantStepTime(1),
    apiOverheadMs: 0,
    publishFault: (_index, seq) => faults.get(seq) ?? 'none',
    ...options,
  });
  const workers = fleet.workers.map(({ url }) => url + workerSetting);
  return harness.gateway({ workers, tokenizer: tokenizerName }, workers.length, [model]);
}

async function shown(gateway: Gateway): Promise<Shown> {
  return ((await getJson(gateway, '/workers')) as { workers: Shown[] }).workers[0]!;
}

async function trusted(gateway: Gateway, kind: string, reason: string | null): Promise<void> {
  await vi.waitFor(async () => expect((await shown(gateway)).trust).toMatchObject({ kind, reason }), { timeout: 5000 });
}

/** A prompt of 64 tokens; equal numbers are equal prompts. */
async function complete(gateway: Gateway, number: number): Promise<void> {
  const prompt = Array.from({ length: 64 }, (_, i) => number * 100 + i);
  const { status, body } = await post(gateway, '/v1/completions', { model, prompt, max_tokens: 2, stream: true });
  expect(status, body).toBe(200);
}

async function blocksHeld(gateway: Gateway): Promise<number> {
  return gateway.router(model)!.loads()[0]!.heldBlocks;
}

describe('trust', () => {
  it('is exact from the start, and shown in metrics and decision records', async () => {
    const gateway = await start();
    await trusted(gateway, 'exact', null);
    await complete(gateway, 1);
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^kvoyant_worker_trust\{worker="http:\/\/127.0.0.1:\d+#0",kind="exact",reason=""\} 1$/m);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { trust: object }[] };
    expect(decisions[0]!.trust).toEqual({ kind: 'exact', reason: null, detail: null });
  });

  it('is exact again after a replay has filled a gap', async () => {
    faults.set(1, 'drop');
    const gateway = await start();
    for (const number of [1, 2, 3]) await complete(gateway, number);
    await eventually(async () => (await blocksHeld(gateway)) === 12);
    await trusted(gateway, 'exact', null);
  });

  it('is degraded by an unrepaired gap until the cache is cleared', async () => {
    faults.set(1, 'drop');
    const gateway = await start({ kvReplay: false });
    for (const number of [1, 2, 3]) await complete(gateway, number);
    await trusted(gateway, 'degraded', 'lost-batches');
    expect(await blocksHeld(gateway)).toBe(4);
    await fetch(`${fleet!.workers[0]!.url}/reset_prefix_cache`, { method: 'POST' });
    await complete(gateway, 4);
    await trusted(gateway, 'exact', null);
  });

  it('waits for the first batch if there is no replay, which then shows a late join', async () => {
    const gateway = await start({ kvReplay: false });
    await trusted(gateway, 'catching-up', 'unproven');
    const late = await harness.gateway({ workers: [fleet!.workers[0]!.url], tokenizer: 'builtin' }, 1, [model]);
    await complete(gateway, 1);
    await trusted(late, 'exact', null);
    for (const number of [2, 3]) await complete(gateway, number);
    const later = await harness.gateway({ workers: [fleet!.workers[0]!.url], tokenizer: 'builtin' }, 1, [model]);
    await complete(gateway, 4);
    await trusted(later, 'degraded', 'late-join');
  });

  it('is lost with the publisher, and returns with a new one', async () => {
    const gateway = await start();
    await complete(gateway, 1);
    await eventually(async () => (await blocksHeld(gateway)) === 4);
    await fleet!.kill(0);
    await trusted(gateway, 'degraded', 'no-connection');
    const { viewEpoch } = gateway.router(model)!.loads()[0]!;
    await fleet!.start(0);
    await trusted(gateway, 'exact', null);
    await eventually(async () => (await blocksHeld(gateway)) === 0);
    expect(gateway.router(model)!.loads()[0]!.viewEpoch).toBeGreaterThan(viewEpoch);
    await gateway.whenReady(5000);
    await complete(gateway, 2);
    await eventually(async () => (await blocksHeld(gateway)) === 4);
  });

  it('is degraded if prompts are computed but no event announces them', async () => {
    for (let seq = 0; seq < 10; seq++) faults.set(seq, 'drop');
    const gateway = await start({ kvReplay: false });
    for (const number of [1, 2, 3]) await complete(gateway, number);
    await trusted(gateway, 'degraded', 'no-batches');
  });

  it('is approximate without events, and without a tokenizer', async () => {
    const gateway = await start({ kvEvents: false });
    await trusted(gateway, 'approximate', 'no-events');
    await fleet!.close();
    const other = await start({}, '', 'none');
    await trusted(other, 'approximate', 'no-tokenizer');
  });
});

describe('feeds in every form', () => {
  it.each<StartOptions>([
    { kvEventsFormat: 'array5', legacyReplay: true },
    { kvEventsFormat: 'array6' },
    { kvEventsFormat: 'array7', kvEventsTopic: 'kv@pod@sim' },
    { kvEventsFormat: 'array11', legacyReplay: true, kvEventsTopic: 'kv@pod@sim' },
    { kvEventsFormat: 'sglang-array', blockSize: 16 },
  ])('$kvEventsFormat', async (options) => {
    faults.set(1, 'drop');
    const gateway = await start(options);
    for (const number of [1, 2, 1]) await complete(gateway, number);
    await eventually(async () => (await blocksHeld(gateway)) === 8);
    await trusted(gateway, 'exact', null);
  });

  it('pages of one token, as blocks of 16', async () => {
    const gateway = await start({ kvEventsFormat: 'sglang-array', blockSize: 1, blocks: 2001, legacyReplay: true });
    expect(await shown(gateway)).toMatchObject({ blockSize: 16, pageSize: 1, capacityBlocks: 125 });
    await complete(gateway, 1);
    await eventually(async () => (await blocksHeld(gateway)) === 4);
    await complete(gateway, 1);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: { overlapTokens: number }[] };
    // All except the one token that is always computed.
    expect(decisions[0]!.overlapTokens).toBe(63);
    await trusted(gateway, 'exact', null);
  });

  it('engines that connect to us, each to its own port', async () => {
    const endpoint = await freeEndpoint();
    const gateway = await start({ kvEventsConnect: endpoint });
    await trusted(gateway, 'exact', null);
    await complete(gateway, 1);
    await eventually(async () => (await blocksHeld(gateway)) === 4);
  });
});

it('takes the blocks held at the first evictions as the capacity if the engine reports none', async () => {
  const engine = await harness.engine();
  const publisher = new Publisher({ linger: 0 });
  await publisher.bind('tcp://127.0.0.1:*');
  const worker = `${engine.url},kv-events=${publisher.lastEndpoint}`;
  const gateway = await harness.gateway({ workers: [worker], tokenizer: 'builtin', trustTokenizer: true });
  expect(await shown(gateway)).toMatchObject({ capacityBlocks: 8192, capacityFrom: 'assumed' });
  const stored: BlocksStored = {
    kind: 'stored',
    hashes: Uint32Array.from({ length: 60 }, (_, i) => i + 1),
    parent: null,
    tokens: Uint32Array.from({ length: 30 * 16 }, (_, i) => i),
    blockSize: 16,
    lora: null,
    salt: null,
    extras: null,
  };
  const removed: KvEvent = { kind: 'removed', hashes: stored.hashes.slice(58) };
  await publisher.send(writeKvFrames('', 0, encodeKvBatch(0, 0, [stored, removed])));
  await eventually(async () => (await shown(gateway)).capacityFrom === 'evictions');
  expect(await shown(gateway)).toMatchObject({ capacityBlocks: 30 });
  expect(gateway.router('fake')!.loads()[0]).toMatchObject({ capacityBlocks: 30, heldBlocks: 29 });
  publisher.close();
});
