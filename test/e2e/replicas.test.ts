// Gateways of the same simulated engines that share over a real NATS server.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { constantStepTime } from '../../src/sim/index.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import type { Tokenizer } from '../../src/tokens/tokenizer.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { NatsServer, natsProgram } from '../gateway/peers/nats-server.ts';
import { eventually, getJson, Harness, post } from './harness.ts';

const model = 'sim';
let harness: Harness;
let tokenizer: Tokenizer;
let fleet: SimWorkers | null = null;
let nats: NatsServer;

interface ClusterAnswer {
  readonly view: string;
  readonly replicas: readonly {
    readonly id: string;
    readonly state: string;
    readonly ageMs: number;
    readonly address: string;
    readonly runningRequests: number;
    readonly loadErrorTokens: number;
  }[];
  readonly received: Readonly<Record<string, number>>;
  readonly unreadPins: number;
  readonly unreadLimits: number;
  readonly copiesTaken: number;
  readonly nats: { readonly state: string; readonly reason: string | null };
}

const clusterOf = async (gateway: Gateway): Promise<ClusterAnswer> =>
  (await getJson(gateway, '/cluster')) as ClusterAnswer;

beforeAll(async () => {
  tokenizer = await loadTokenizer('builtin');
});
afterAll(() => tokenizer.close());
beforeEach(async () => {
  harness = new Harness();
  if (natsProgram() !== null) nats = await NatsServer.start();
});
afterEach(async () => {
  await harness.end();
  await fleet?.close();
  await nats?.stop();
});

async function engines(options: StartOptions = {}): Promise<void> {
  fleet = await startSimWorkers({
    ...{ port: 0, model, tokenizer, stepTime: constantStepTime(1), apiOverheadMs: 0 },
    ...options,
  });
}

function replica(options: GatewayOptions = {}): Promise<Gateway> {
  const workers = fleet!.workers.map(({ url }) => url);
  const all = { workers, tokenizer: 'builtin', nats: [nats.url], ...options };
  return harness.gateway(all, workers.length, [model]);
}

const hears = async (gateway: Gateway, count: number): Promise<void> =>
  eventually(async () => {
    const { replicas } = await clusterOf(gateway);
    return replicas.filter(({ state }) => state === 'here').length === count;
  }, 10_000);

/** A prompt of 64 tokens; equal numbers are equal prompts. */
async function complete(gateway: Gateway, number: number, more: object = {}, headers = {}): Promise<number> {
  const prompt = Array.from({ length: 64 }, (_, i) => number * 100 + i);
  const body = { model, prompt, max_tokens: 2, stream: true, ...more };
  return (await post(gateway, '/v1/completions', body, headers)).status;
}

const held = (gateway: Gateway): number =>
  gateway
    .router(model)!
    .loads()
    .reduce((sum, { heldBlocks }) => sum + heldBlocks, 0);

describe.skipIf(natsProgram() === null)('replicas', () => {
  it('know each other, and count the requests of each other until they end', async () => {
    await engines({ count: 2, stepTime: constantStepTime(20) });
    const [one, two] = await Promise.all([replica(), replica()]);
    await Promise.all([hears(one, 1), hears(two, 1)]);
    const answers = Array.from({ length: 8 }, (_, i) => complete(one, i, { max_tokens: 40, ignore_eos: true }));
    await eventually(async () => (await clusterOf(two)).replicas[0]!.runningRequests === 8);
    expect((await clusterOf(two)).replicas[0]!.address).toBe(one.url);
    expect(await Promise.all(answers)).toEqual(answers.map(() => 200));
    await eventually(async () => (await clusterOf(two)).replicas[0]!.runningRequests === 0);
    const metrics = await (await fetch(`${two.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^kvoyant_cluster_replicas\{state="heard"\} 2$/m);
    expect(metrics).toMatch(/^kvoyant_cluster_view_partial 0$/m);
    expect(metrics).toMatch(/^kvoyant_cluster_load_error_tokens\{replica="\w+"\} \d+$/m);
  });

  it('give a late one the index that no replay can, and it follows the live events from there', async () => {
    await engines({ count: 1, kvReplay: false, blocks: 64 });
    const one = await replica();
    for (let number = 1; number <= 6; number++) expect(await complete(one, number)).toBe(200);
    await eventually(() => held(one) >= 24);
    const two = await replica();
    await eventually(async () => {
      const { workers } = (await getJson(two, '/workers')) as { workers: { trust: { kind: string } }[] };
      return workers.every(({ trust }) => trust.kind === 'exact');
    });
    expect(held(two)).toBe(held(one));
    expect((await clusterOf(two)).copiesTaken).toBeGreaterThan(0);
    // Enough for the engines to evict: handles of the copy are those that the events name.
    for (let number = 10; number < 60; number++) expect(await complete(number % 2 === 0 ? one : two, number)).toBe(200);
    await eventually(() => held(one) === held(two) && held(one) > 24);
    expect(held(one)).toBeLessThanOrEqual(64);
  });

  it('send the next request of a session to the worker that another replica chose', async () => {
    await engines({ count: 4, kvEvents: false });
    // Other seeds: ties are not broken alike.
    const [one, two] = await Promise.all([replica({ policy: 'kv' }), replica({ policy: 'kv', seed: 7 })]);
    await Promise.all([hears(one, 1), hears(two, 1)]);
    const workerOf = async (gateway: Gateway): Promise<string> => {
      const { decisions } = (await getJson(gateway, '/decisions')) as {
        decisions: { timeMs: number; worker: string }[];
      };
      return decisions.toSorted((a, b) => b.timeMs - a.timeMs)[0]!.worker;
    };
    const chosen = new Set<string>();
    for (let number = 1; number <= 8; number++) {
      const headers = { 'x-kvoyant-session': `session-${number}` };
      await complete(one, number, {}, headers);
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await complete(two, 1000 + number, {}, headers);
      expect(await workerOf(two)).toBe(await workerOf(one));
      chosen.add(await workerOf(one));
    }
    expect(chosen.size).toBeGreaterThan(1);
  });

  it('hold a limit by key together', async () => {
    await engines({ count: 2, stepTime: constantStepTime(20) });
    const limits = { inFlightPerKeyMax: 12 };
    const all = await Promise.all([replica(limits), replica(limits), replica(limits)]);
    await Promise.all(all.map((one) => hears(one, 2)));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const asked = all.flatMap((one, at) =>
      Array.from({ length: 12 }, (_, i) => complete(one, 20 * at + i, { max_tokens: 60, ignore_eos: true })),
    );
    const statuses = await Promise.all(asked);
    const admitted = statuses.filter((status) => status === 200).length;
    expect(admitted).toBeGreaterThanOrEqual(9);
    expect(admitted).toBeLessThanOrEqual(14);
    expect(statuses.filter((status) => status === 429)).toHaveLength(36 - admitted);
  });

  it('serve on without NATS, say that their view is partial, and are whole again after it returns', async () => {
    await engines({ count: 2 });
    const [one, two] = await Promise.all([replica({ replicas: 2 }), replica({ replicas: 2 })]);
    await Promise.all([hears(one, 1), hears(two, 1)]);
    await nats.stop();
    await eventually(async () => (await clusterOf(one)).view === 'partial');
    expect(await complete(one, 1)).toBe(200);
    expect(await complete(two, 2)).toBe(200);
    const { view } = (await getJson(one, '/loads')) as { view: string };
    expect(view).toBe('partial');
    await nats.start();
    await eventually(async () => (await clusterOf(one)).view === 'whole' && (await clusterOf(two)).view === 'whole');
  });

  it('are told when one ends', async () => {
    await engines({ count: 1 });
    const [one, two] = await Promise.all([replica(), replica()]);
    await Promise.all([hears(one, 1), hears(two, 1)]);
    await two.close();
    await eventually(async () => (await clusterOf(one)).replicas[0]!.state === 'left');
    expect((await clusterOf(one)).view).toBe('whole');
  });

  it('count and ignore what strangers send on their subjects', async () => {
    await engines({ count: 1 });
    const [one, two] = await Promise.all([replica(), replica()]);
    await Promise.all([hears(one, 1), hears(two, 1)]);
    const { connect } = await import('@nats-io/transport-node');
    const stranger = await connect({ servers: nats.url });
    const { id } = (await clusterOf(two)).replicas[0]!;
    const subjects = ['load', 'pins', 'limits', `ask.${id}`];
    for (let i = 0; i < 2000; i++) {
      const bytes = Uint8Array.from({ length: i % 200 }, (_, at) => (i * 31 + at * 17) & 255);
      stranger.publish(`kvoyant.default.${subjects[i % 4]}`, bytes, { reply: 'nowhere' });
    }
    stranger.publish('kvoyant.default.load', new Uint8Array(1_000_000).fill(1));
    await stranger.flush();
    await stranger.close();
    await eventually(async () => {
      const { received, unreadPins, unreadLimits } = await clusterOf(one);
      return received['unreadable']! + received['version']! > 400 && unreadPins === 500 && unreadLimits === 500;
    });
    expect((await clusterOf(one)).replicas).toHaveLength(1);
    expect(await complete(one, 1)).toBe(200);
  });
});

describe('a gateway without --nats', () => {
  it('is alone', async () => {
    await engines({ count: 1 });
    const gateway = await replica({ nats: [] });
    expect(await getJson(gateway, '/cluster')).toEqual({ cluster: null, view: 'alone', replicas: [] });
  });
});
