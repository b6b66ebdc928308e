// `kvoyant check --engines`: whether the engines of a configuration are there, one line for each worker.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Reach, reachWorkers } from '../../src/gateway/doctor/reach.ts';
import { type GatewayOptions, startGateway } from '../../src/gateway/index.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { TemporaryFolder } from '../gateway/temporary-folder.ts';
import { FakeEngine, tokenizeCharacters } from './fake-engine.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let folder: TemporaryFolder;
const ends: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  folder = new TemporaryFolder();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  folder.remove();
});

async function sims(options: Partial<StartOptions> = {}): Promise<SimWorkers> {
  const fleet = await startSimWorkers({ port: 0, kvEventsPort: 0, model: 'there', blocks: 500, ...options });
  ends.push(() => fleet.close());
  return fleet;
}

async function fake(): Promise<FakeEngine> {
  const engine = await FakeEngine.start();
  ends.push(() => engine.close());
  return engine;
}

async function deadUrl(): Promise<string> {
  const engine = await FakeEngine.start();
  await engine.close();
  return engine.url;
}

const reach = (workers: readonly string[], more: GatewayOptions = {}, timeoutMs = 10_000): Promise<Reach[]> =>
  reachWorkers({ workers: [...workers], probeIntervalMs: 25, ...more }, timeoutMs, async (name) => {
    if (name === 'pods.test') return ['127.0.0.1'];
    throw new Error('not found');
  });

describe('reaching the engines', () => {
  it('tells model, block size and events of each worker', async () => {
    const { workers } = await sims({ count: 2, blockSize: 32 });
    const plain = await fake();
    const reached = await reach([workers[0]!.url, plain.url, workers[1]!.url]);
    expect(reached.map(({ worker }) => worker)).toEqual([
      `${workers[0]!.url}#0`,
      `${plain.url}#0`,
      `${workers[1]!.url}#0`,
    ]);
    expect(reached.map((one) => one.reached)).toEqual([true, true, true]);
    expect(reached[0]!.message).toMatch(/^there, block size 32 \(as it says\), \d+ blocks; KV events at tcp:/);
    expect(reached[1]!.message).toMatch(/^fake, block size 16 \(assumed\), .* no KV events, so its cache is guessed/);
  });

  it('tells names without what a terminal would obey', async () => {
    const engine = await fake();
    engine.models = ['\u001b[2J\u009b2Jbad\u0007'];
    expect((await reach([engine.url]))[0]!.message).toMatch(/^\?\[2J\?2Jbad\?, block size/);
  });

  it('tells what is wrong, and only that', async () => {
    const dead = await deadUrl();
    const { url } = (await sims()).workers[0]!;
    const plain = await fake();
    plain.tokenize = tokenizeCharacters;
    const reached = await reach(
      [
        dead,
        `${url},model=other`,
        `${plain.url},kv-events=tcp://127.0.0.1:${new URL(dead).port}`,
        'dns+http://nowhere.test:8000',
      ],
      {},
      3000,
    );
    expect(reached.map((one) => one.reached)).toEqual([false, false, false, false]);
    const [refused, model, events, name] = reached.map(({ message }) => message);
    expect(refused).toMatch(/nothing listens at/);
    expect(model).toMatch(/other/);
    expect(events).toMatch(/no publisher answers at tcp:\/\/127\.0\.0\.1:\d+/);
    expect(name).toMatch(/the name nowhere\.test has no address/);
  });

  it('finds the engines of a name, and of a file', async () => {
    const [one, two] = [await fake(), await fake()];
    const workersFile = folder.write('workers.yaml', stringify([two.url]));
    const reached = await reach([`dns+http://pods.test:${one.port},pool=a`], {
      ...{ workersFile, pools: ['a'], threads: 2, tokenizer: 'builtin', trustTokenizer: true, healthPort: 0 },
    });
    expect(reached).toMatchObject([
      { worker: `http://127.0.0.1:${one.port}#0`, reached: true },
      { worker: `${two.url}#0`, reached: true },
    ]);
  });

  it('disturbs no running gateway of the same configuration, and no other settings count', async () => {
    const { workers } = await sims();
    const options = {
      ...{ workers: [workers[0]!.url], port: 0, healthPort: 0, apiKeys: ['k:some-secret-00000001'], decisionsMax: 0 },
      ...{ record: `${folder.path}/record`, canary: false },
    };
    const gateway = await startGateway({ ...options, logLevel: 'silent' });
    ends.push(() => gateway.close());
    await gateway.whenReady(10_000);
    expect(await reach(options.workers, options)).toMatchObject([{ reached: true }]);
    expect(gateway.router('there')!.loads()[0]!.runningRequests).toBe(0);
  });
});

describe('kvoyant check --engines', () => {
  const run = (config: object): Promise<{ code: number; out: string }> =>
    new Promise((resolve) => {
      const args = [program, 'check', folder.write('k.yaml', stringify(config)), '--engines', '--timeout-s', '5'];
      execFile(process.execPath, args, (error, out) => resolve({ code: Number(error?.code ?? 0), out }));
    });

  it('prints a line a worker, and exits with 1 if one has a fault', async () => {
    const { workers } = await sims({ count: 2 });
    const urls = workers.map(({ url }) => url);
    const sound = await run({ workers: urls });
    expect(sound.out.trim().split('\n')).toHaveLength(2);
    expect([sound.code, sound.out]).toEqual([0, expect.stringMatching(/^http\S+#0 {2}ok {5}there, block size/)]);
    const mixed = await run({ workers: [...urls, await deadUrl()] });
    expect([mixed.code, mixed.out]).toEqual([1, expect.stringMatching(/FAULT {2}.*nothing listens/)]);
  });
});
