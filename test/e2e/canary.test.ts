import { randomUUID } from 'node:crypto';
import { pack } from 'msgpackr';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { XPublisher } from 'zeromq';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { type Bends, EngineProxy } from './engine-proxy.ts';
import { replyWhole } from './fake-engine.ts';
import { freePort } from './free-port.ts';
import { atRest, eventually, getJson, Harness, loads, post } from './harness.ts';

const model = 'sim-canary';
let fleet: SimWorkers;
let harness: Harness;
let proxies: EngineProxy[];

beforeAll(async () => {
  fleet = await startSimWorkers({
    count: 2,
    port: await freePort(2),
    kvEventsPort: await freePort(2),
    model,
    speedup: 50,
    blocks: 2000,
    kvEventsTopic: 'kv',
  });
});
afterAll(() => fleet.close());
beforeEach(async () => {
  await fleet.restart();
  harness = new Harness();
  proxies = [];
});
afterEach(async () => {
  await harness.end();
  await Promise.all(proxies.map((proxy) => proxy.close()));
});

interface Canary {
  readonly state: string;
  readonly reason?: string;
  readonly proofs: readonly string[];
  readonly findings: readonly { readonly cause: string; readonly message: string }[];
}

async function bent(index: number, bends: Bends): Promise<string> {
  const proxy = await EngineProxy.start(fleet.workers[index]!.url, bends);
  proxies.push(proxy);
  return proxy.url;
}

async function canaries(
  options: Partial<GatewayOptions>,
  settled = true,
): Promise<{ gateway: Gateway; all: Canary[] }> {
  const gateway = await harness.gateway({ canary: true, tokenizer: 'builtin', ...options }, undefined, [model]);
  let all: (Canary | null)[] = [];
  await eventually(async () => {
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { canary: Canary | null }[] };
    all = workers.map(({ canary }) => canary);
    return all.every((canary) => canary !== null && (!settled || canary.state !== 'inconclusive'));
  }, 15_000);
  return { gateway, all: all as Canary[] };
}

async function causesOf(url: string, options: Partial<GatewayOptions> = {}): Promise<string[]> {
  const { all } = await canaries({ workers: [url], ...options });
  return all[0]!.findings.map(({ cause }) => cause);
}

const onPath =
  (path: string, change: (value: Record<string, unknown>) => unknown) =>
  (asked: string, body: string): string =>
    asked === path ? JSON.stringify(change(JSON.parse(body) as Record<string, unknown>)) : body;

describe('a canary', () => {
  it('proves sound workers by tokens, usage and events, and is booked and released like any request', async () => {
    const { gateway, all } = await canaries({ workers: fleet.workers.map(({ url }) => url) });
    for (const { state, proofs, findings } of all) {
      expect({ state, findings }).toEqual({ state: 'sound', findings: [] });
      expect(proofs).toEqual(['token-count', 'usage', 'events']);
    }
    await atRest(gateway);
    for (const { heldBlocks } of (await loads(gateway)).workers) expect(heldBlocks).toBeGreaterThanOrEqual(3);
    expect(gateway.router(model)!.counters().routed).toBe(4);
  });

  it('proves the cache by counters if answers do not report cached tokens', async () => {
    const answer = onPath('/v1/completions', ({ usage, ...rest }) => ({
      ...rest,
      usage: { ...(usage as object), prompt_tokens_details: null },
    }));
    const { all } = await canaries({ workers: [await bent(0, { answer })] });
    expect(all).toMatchObject([{ state: 'sound', proofs: ['token-count', 'counters', 'events'] }]);
  });

  it('proves what is possible without a tokenizer', async () => {
    const { all } = await canaries({ workers: [fleet.workers[0]!.url], tokenizer: 'none' });
    expect(all).toMatchObject([{ state: 'sound', proofs: ['token-count', 'usage'] }]);
  });

  it('gets its tokens from the engine if the gateway has no tokenizer', async () => {
    const { all } = await canaries({ workers: [fleet.workers[0]!.url], tokenizer: 'engine' });
    expect(all).toMatchObject([{ state: 'sound', proofs: ['token-count', 'usage', 'events'] }]);
  });

  it('is repeated while the worker is idle', async () => {
    const { gateway } = await canaries({ workers: [fleet.workers[0]!.url], canaryIntervalMs: 1000 });
    await eventually(() => gateway.router(model)!.counters().routed >= 4, 15_000);
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { canary: Canary }[] };
    expect(workers.map(({ canary }) => canary.state)).toEqual(['sound']);
  });

  it('is inconclusive if the engine does not answer it; that is no finding, and requests continue', async () => {
    const answer = (path: string, body: string): string | null => (path === '/v1/completions' ? null : body);
    const { gateway, all } = await canaries({ workers: [await bent(0, { answer })] }, false);
    expect(all).toMatchObject([{ state: 'inconclusive' }]);
    expect((await post(gateway, '/v1/completions', { model, prompt: 'x', max_tokens: 1 })).status).toBe(404);
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { state: string }[] };
    expect(workers).toMatchObject([{ state: 'ready' }]);
  });

  it("is not sent if it is off; the engine's own statements are still checked", async () => {
    const answer = (path: string, body: string): string => (path === '/kv_event_sources' ? '{}' : body);
    const { gateway, all } = await canaries({ workers: [await bent(0, { answer })], canary: false });
    expect(all).toMatchObject([{ state: 'off', proofs: [], findings: [{ cause: 'events-off' }] }]);
    expect(gateway.router(model)!.counters().routed).toBe(0);
    expect(await (await fetch(`${gateway.adminUrl}/metrics`)).text()).toContain('cause="events-off"} 1');
  });
});

describe('a canary reports the cause', () => {
  it("prefix caching off, by the engine's statement", async () => {
    const answer = (_path: string, body: string): string =>
      body.replace('enable_prefix_caching="True"', 'enable_prefix_caching="False"');
    expect(await causesOf(await bent(0, { answer }))).toEqual(['prefix-caching-off']);
  });

  it("prefix caching off, by the engine's behaviour", async () => {
    const request = onPath('/v1/completions', (body) => ({ ...body, cache_salt: randomUUID() }));
    expect(await causesOf(await bent(0, { request }))).toEqual(['prefix-caching-off']);
  });

  it('events off', async () => {
    const answer = (path: string, body: string): string | null => (path === '/kv_event_sources' ? null : body);
    expect(await causesOf(await bent(0, { answer }))).toEqual(['events-off']);
  });

  it('null publisher', async () => {
    const answer = onPath('/kv_event_sources', ({ '0': source }) => ({
      0: { ...(source as object), publisher: 'null' },
    }));
    expect(await causesOf(await bent(0, { answer }))).toEqual(['null-publisher']);
  });

  it('wrong port', async () => {
    const url = `${fleet.workers[0]!.url},kv-events=tcp://127.0.0.1:9`;
    expect(await causesOf(url)).toEqual(['wrong-endpoint']);
  });

  it('topic filter', async () => {
    const answer = onPath('/kv_event_sources', ({ '0': source }) => ({
      0: { ...(source as object), topic: 'other', replay_endpoint: null },
    }));
    expect(await causesOf(await bent(0, { answer }))).toEqual(['no-batches']);
  });

  it('block size', async () => {
    expect(await causesOf(fleet.workers[0]!.url, { blockSize: 24 })).toEqual(['block-size']);
  });

  it('block size, without a statement of the engine', async () => {
    const answer = (path: string, body: string): string | null =>
      path === '/metrics' || path === '/kv_event_sources' ? null : body;
    const causes = await causesOf(await bent(0, { answer }), { tokenizer: 'none', blockSize: 24 });
    expect(causes).toEqual(['block-size', 'events-off']);
  });

  it('other tokenizer', async () => {
    const answer = onPath('/v1/completions', ({ usage, ...rest }) => ({
      ...rest,
      usage: { ...(usage as object), prompt_tokens: 77 },
    }));
    expect(await causesOf(await bent(0, { answer }))).toEqual(['tokenizer']);
  });

  it('other template', async () => {
    const request = onPath('/tokenize', (body) => {
      const { messages } = body as { messages?: object[] };
      return messages === undefined ? body : { ...body, messages: messages.slice(1) };
    });
    expect(await causesOf(await bent(0, { request }))).toEqual(['chat-template']);
  });

  it('unknown salt', async () => {
    const request = onPath('/v1/completions', (body) => ({ ...body, cache_salt: 'of a proxy in between' }));
    expect(await causesOf(await bent(0, { request }))).toEqual(['lora-or-salt']);
  });

  it('events of worker A connected to B', async () => {
    const [a, b] = fleet.workers;
    const workers = [`${a!.url},kv-events=${b!.kvEvents}`, `${b!.url},kv-events=${a!.kvEvents}`];
    const { all } = await canaries({ workers });
    for (const [index, { findings }] of all.entries()) {
      expect(findings).toMatchObject([{ cause: 'foreign-events' }]);
      expect(findings[0]!.message).toContain(`${fleet.workers[1 - index]!.url}#0`);
    }
  });

  it('events of another engine', async () => {
    const [a, b] = fleet.workers;
    const url = `${a!.url},kv-events=${b!.kvEvents}`;
    expect(await causesOf(url)).toEqual(['no-batches']);
  });
});

describe('an engine with only sliding windows', () => {
  it('is mirrored from our own decisions with that cause, and no other engine is blamed', async () => {
    const publisher = new XPublisher({ linger: 0 });
    await publisher.bind('tcp://127.0.0.1:*');
    const engine = await harness.engine();
    // What is sent before it is lost.
    const subscription = publisher.receive();
    let seq = 0n;
    engine.behaviour = async (request) => {
      const event = {
        type: 'BlockStored',
        block_hashes: [1, 2, 3],
        parent_block_hash: null,
        token_ids: Array.from({ length: 48 }, (_, i) => i),
        block_size: 16,
        medium: 'GPU',
        kv_cache_spec_kind: 'sliding_window',
      };
      const number = Buffer.alloc(8);
      number.writeBigUInt64BE(seq++);
      await subscription;
      await publisher.send(['', number, pack([1, [event], 0])]);
      replyWhole(request, 'hi');
    };
    const gateway = await harness.gateway(
      {
        workers: [`${engine.url},kv-events=${publisher.lastEndpoint}`, fleet.workers[0]!.url],
        tokenizer: 'builtin',
        trustTokenizer: true,
        canary: true,
      },
      2,
      ['fake', model],
    );
    interface Entry {
      readonly source: string;
      readonly trust: { readonly kind: string; readonly reason: string };
      readonly canary: Canary | null;
    }
    const entry = async (): Promise<Entry> =>
      ((await getJson(gateway, '/workers')) as { workers: Entry[] }).workers[0]!;
    await eventually(async () => (await entry()).canary !== null, 15_000);
    expect((await entry()).canary!.findings.map(({ cause }) => cause)).toContain('attention-kind');
    for (let i = 0; i < 3; i++) await post(gateway, '/v1/completions', { model: 'fake', prompt: `x ${i}` });
    await eventually(async () => (await entry()).source === 'approximate');
    expect((await entry()).trust).toMatchObject({ kind: 'approximate', reason: 'attention-kind' });
    publisher.close();
  });
});
