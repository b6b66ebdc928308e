import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Router } from '../../src/core/index.ts';
import { EngineCalls } from '../../src/gateway/engines/engine-calls.ts';
import { EngineProbe } from '../../src/gateway/engines/engine-probe.ts';
import { KvFeed } from '../../src/gateway/feeds/kv-feed.ts';
import { CanarySchedule } from '../../src/gateway/fleet/canary-schedule.ts';
import { Fleet } from '../../src/gateway/fleet/fleet.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { Pool } from '../../src/gateway/pools/pool.ts';
import { Pools } from '../../src/gateway/pools/pools.ts';
import { endStream, openStream, replyWhole, sendToken } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await harness.end();
});

interface WorkerEntry {
  readonly url: string;
  readonly state: string;
  readonly reason: string | null;
  readonly source?: string;
  readonly trust?: { readonly kind: string; readonly reason: string; readonly detail: string };
}

const workersOf = async (gateway: Gateway): Promise<readonly WorkerEntry[]> =>
  ((await getJson(gateway, '/workers')) as { workers: WorkerEntry[] }).workers;

const boom = (): never => {
  throw new TypeError('boom');
};
const boomLater = async (): Promise<never> => boom();

/** Each breaks one step of joining from now on. */
const steps: readonly (readonly [string, () => unknown])[] = [
  ['asking for its models', () => vi.spyOn(EngineProbe.prototype, 'models').mockImplementation(boomLater)],
  ['reading its metrics', () => vi.spyOn(EngineProbe.prototype, 'cacheConfigs').mockImplementation(boomLater)],
  [
    'reading its event sources',
    () => vi.spyOn(EngineProbe.prototype, 'feedAnnouncements').mockImplementation(boomLater),
  ],
  ['finding its pool', () => vi.spyOn(Pools.prototype, 'join').mockImplementation(boom)],
  ['joining the pool', () => vi.spyOn(Pool.prototype, 'add').mockImplementation(boom)],
  ['telling the pool', () => vi.spyOn(Pool.prototype, 'membersChanged').mockImplementation(boom)],
  ['becoming routable', () => vi.spyOn(Router.prototype, 'setRoutable').mockImplementation(boom)],
  ['leaving the pool', () => vi.spyOn(Pools.prototype, 'leave').mockImplementation(boom)],
  ['waiting for its feed', () => vi.spyOn(KvFeed.prototype, 'whenCurrent').mockImplementation(boomLater)],
  ['planning its canaries', () => vi.spyOn(CanarySchedule.prototype, 'joined').mockImplementation(boom)],
];

describe('an internal error while one engine is handled', () => {
  it.each(steps)(
    'while %s is its state and a line in the log, and it joins again',
    async (step, breakStep) => {
      const [sound, sick] = [await harness.engine(), await harness.engine()];
      for (const engine of [sound, sick]) engine.behaviour = (request) => replyWhole(request, 'hi');
      const log = new LogLines();
      const surroundings = { logTo: log };
      const gateway = await harness.gateway(
        { workers: [sound.url], logLevel: 'info', tokenizer: 'builtin', trustTokenizer: true },
        1,
        ['fake'],
        surroundings,
      );
      breakStep();
      const added = await fetch(`${gateway.adminUrl}/workers`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ url: sick.url, ...(step.endsWith('its feed') && { kvEvents: 'tcp://127.0.0.1:9' }) }),
      });
      expect(added.status).toBe(201);
      await eventually(async () => (await workersOf(gateway)).find(({ url }) => url === sick.url)?.state === 'refused');
      const entry = (await workersOf(gateway)).find(({ url }) => url === sick.url)!;
      expect(entry.reason).toBe('internal error: boom');
      expect(log.with('engine out of use: internal error')[0]).toMatchObject({ engine: sick.url, level: 50 });
      expect((await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' })).status).toBe(200);
      expect(sound.requests).toHaveLength(1);
      vi.restoreAllMocks();
      await eventually(async () => (await workersOf(gateway)).every(({ state }) => state === 'ready'), 15_000);
      for (let i = 0; i < 4; i++) await post(gateway, '/v1/completions', { model: 'fake', prompt: `y ${i}` });
      expect(sick.requests.length).toBeGreaterThan(0);
    },
    30_000,
  );

  it('while subscribing to its events costs it the events, is logged, and leaves it in use', async () => {
    vi.spyOn(KvFeed.prototype, 'open').mockImplementation(boom);
    const engine = await harness.engine();
    const log = new LogLines();
    const options = { workers: [`${engine.url},kv-events=tcp://127.0.0.1:9`], logLevel: 'info' } as const;
    const gateway = await harness.gateway({ ...options, tokenizer: 'builtin', trustTokenizer: true }, 1, ['fake'], {
      logTo: log,
    });
    expect(await workersOf(gateway)).toMatchObject([
      { state: 'ready', source: 'approximate', trust: { kind: 'approximate', reason: 'feed-fault' } },
    ]);
    expect(log.with('KV event feed not opened')).toMatchObject([{ reason: 'boom' }]);
    expect((await post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' })).status).toBe(200);
  });

  it('before it was added affects no other engine, and an error in one name lookup ends no other', async () => {
    const engine = await harness.engine();
    const log = new LogLines();
    let addresses: readonly string[] = ['fe80::1%lo', '127.0.0.1'];
    const want = Fleet.prototype.want;
    const gateway = await harness.gateway(
      { workers: [`dns+http://engines.test:${engine.port}`], logLevel: 'info', dnsIntervalMs: 1000 },
      0,
      ['fake'],
      { resolve: async () => addresses, logTo: log },
    );
    await eventually(async () => (await workersOf(gateway)).some(({ state }) => state === 'ready'));
    expect(log.with('name has unusable addresses')).toMatchObject([{ name: 'engines.test' }]);
    const broken = vi.spyOn(Fleet.prototype, 'want').mockImplementation(boom);
    await eventually(() => log.with('lookup of workers failed: internal error').length > 0);
    broken.mockImplementation(want);
    addresses = ['127.0.0.1', '127.0.0.2'];
    await eventually(async () => (await workersOf(gateway)).length === 2);
  });

  it('while judging its silence puts it out once, and it returns; its requests end with their streams', async () => {
    const engine = await harness.engine();
    let finish = (): void => undefined;
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
      finish = () => endStream(request, 10, 1);
    };
    const log = new LogLines();
    const options = { workers: [engine.url], logLevel: 'info', probeIntervalMs: 1000 } as const;
    const gateway = await harness.gateway(options, 1, ['fake'], { logTo: log });
    const streaming = post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    await eventually(() => engine.requests.length === 1);
    vi.spyOn(EngineCalls.prototype, 'advance').mockImplementation(boom);
    await eventually(async () => (await workersOf(gateway))[0]!.state === 'refused');
    // The guard runs ten times a second.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(log.with('engine out of use: internal error')).toHaveLength(1);
    finish();
    expect((await streaming).body).toContain('[DONE]');
    vi.restoreAllMocks();
    await eventually(async () => (await workersOf(gateway))[0]!.state === 'ready', 15_000);
  });

  it('in a canary makes the canary inconclusive', async () => {
    vi.spyOn(Pool.prototype, 'allBut').mockImplementation(boom);
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], canary: true });
    await eventually(async () => {
      const { workers } = (await getJson(gateway, '/workers')) as { workers: { state: string; canary: unknown }[] };
      return workers[0]!.canary !== null;
    });
    expect(await workersOf(gateway)).toMatchObject([
      { state: 'ready', canary: { state: 'inconclusive', reason: 'boom' } },
    ]);
  });
});
