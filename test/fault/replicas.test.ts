// Replicas of the gateway over a real nats-server: what happens when one of them, or the server, breaks.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../e2e/free-port.ts';
import { eventually } from '../e2e/harness.ts';
import { NatsServer, natsProgram } from '../gateway/peers/nats-server.ts';
import { burst, completion, failed, type StreamEnd, stream } from './fault-client.ts';
import { report, seconds, size } from './fault-report.ts';
import { atRest, endAll, getJson, getText, type Program, startGateway, startSims } from './processes.ts';

const engineCount = size(8, 2);
const streamCount = size(120, 12);
const replicaCount = 3;
/** The required times are in the docs; this is for slow machines. */
const patienceMs = 20_000;

interface Replica {
  readonly id: string;
  readonly address: string;
  readonly state: string;
  readonly ageMs: number;
  readonly runningRequests: number;
}

interface ClusterAnswer {
  readonly view: string;
  readonly replica: string;
  readonly replicas: readonly Replica[];
  readonly nats: { readonly state: string; readonly reason: string | null; readonly connections: number };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const clusterOf = async (gateway: Program): Promise<ClusterAnswer> =>
  (await getJson(`${gateway.adminUrl}/cluster`)) as ClusterAnswer;

/** Load of another replica as this one counts it; 0: it is gone. */
async function countedOf(gateway: Program, address: string): Promise<number> {
  const { replicas } = await clusterOf(gateway);
  return replicas.find((replica) => replica.address === address)?.runningRequests ?? 0;
}

/** @returns the time until it was so */
async function timeUntil(condition: () => Promise<boolean>): Promise<number> {
  const startMs = performance.now();
  await eventually(condition, patienceMs);
  return performance.now() - startMs;
}

async function isWhole(gateway: Program, others: number): Promise<boolean> {
  const { view, replicas } = await clusterOf(gateway);
  const here = replicas.filter(({ state }) => state === 'here');
  return view === 'whole' && here.length === others && here.every(({ runningRequests }) => runningRequests === 0);
}

let folder: string;
let nats: NatsServer;
let engines: Program;
let engineUrls: { url: string }[];
let gateways: Program[] = [];

const replica = async (...more: string[]): Promise<Program> =>
  startGateway(
    engineUrls,
    ...[
      '--nats',
      nats.url,
      '--replicas',
      String(replicaCount),
      '--log-level',
      'warn',
      '--no-rehearse',
      '--admin-port',
      '0',
      '--shutdown-notice-ms',
      '400',
      // Some are started again on it.
      '--port',
      String(await freePort()),
    ],
    ...more,
  );

/** Loads are zero on every replica, and each hears all others. */
async function healed(): Promise<void> {
  for (const gateway of gateways) await atRest(gateway);
  for (const gateway of gateways) await eventually(() => isWhole(gateway, replicaCount - 1), patienceMs);
}

const burstOverAll = (tokens: number, seed: number): Promise<StreamEnd[]> =>
  Promise.all(gateways.map(({ url }, i) => burst(url, streamCount / replicaCount, tokens, seed + i))).then((ends) =>
    ends.flat(),
  );

describe.skipIf(natsProgram() === null)('replicas', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kvoyant-replicas-'));
    const conf = join(folder, 'nats.conf');
    // So that a frozen replica is a slow consumer soon.
    writeFileSync(conf, 'write_deadline: "500ms"\nmax_pending: 2MB\n');
    nats = await NatsServer.start('-c', conf);
    const started = await startSims(engineCount);
    engines = started.program;
    engineUrls = started.urls.map((url) => ({ url }));
    gateways = await Promise.all(Array.from({ length: replicaCount }, () => replica()));
    await healed();
  }, 120_000);
  afterAll(async () => {
    await endAll([...gateways, engines]);
    await nats?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('serve on while the server is killed, and are whole again after it returns', async () => {
    const ends = burstOverAll(60, 1);
    await sleep(300);
    await nats.stop();
    await eventually(async () => (await clusterOf(gateways[0]!)).view === 'partial', patienceMs);
    const ended = await ends;
    expect(failed(ended)).toEqual([]);
    expect(failed(await burst(gateways[1]!.url, 3, 10, 50))).toEqual([]);
    const metrics = await getText(`${gateways[0]!.adminUrl}/metrics`);
    expect(metrics).toMatch(/^kvoyant_cluster_view_partial 1$/m);
    await nats.start();
    const wholeMs = await timeUntil(async () => {
      const views = await Promise.all(gateways.map(clusterOf));
      return views.every(({ view }) => view === 'whole');
    });
    await healed();
    report(
      'replicas: nats-server killed under load and restarted',
      `0 of ${ended.length} failed; every view whole ${seconds(wholeMs)} after the restart`,
      '0 failed, whole in 1 s',
    );
  });

  it('drop the load of one that is killed, and take it back', async () => {
    const [first, second, third] = gateways;
    const ends = [burst(first!.url, streamCount / 3, 150, 10), burst(second!.url, streamCount / 3, 150, 11)];
    const cut = burst(third!.url, streamCount / 3, 150, 12);
    const { url } = third!;
    await eventually(async () => (await countedOf(first!, url)) === streamCount / 3, patienceMs);
    third!.signal('SIGKILL');
    const goneMs = await timeUntil(
      async () => (await countedOf(first!, url)) === 0 && (await countedOf(second!, url)) === 0,
    );
    const ended = (await Promise.all(ends)).flat();
    expect(failed(ended)).toEqual([]);
    expect(failed(await cut).length).toBe(streamCount / 3);
    await third!.restart();
    await healed();
    report(
      'replicas: one of three killed under load',
      `its load is gone ${seconds(goneMs)} after the kill; 0 of ${ended.length} streams of the others failed`,
      'gone in 0.75 s, 0 failed',
    );
  });

  it('drop the load of one that is frozen, and count it anew when it thaws', async () => {
    const [first, second] = gateways;
    const ends = burst(second!.url, streamCount / 3, 200, 20);
    const { url } = second!;
    await eventually(async () => (await countedOf(first!, url)) === streamCount / 3, patienceMs);
    second!.signal('SIGSTOP');
    const goneMs = await timeUntil(async () => (await countedOf(first!, url)) === 0);
    expect(failed(await burst(first!.url, 3, 10, 25))).toEqual([]);
    second!.signal('SIGCONT');
    const ended = await ends;
    expect(failed(ended)).toEqual([]);
    await healed();
    report(
      'replicas: one of three frozen and thawed',
      `its load is gone ${seconds(goneMs)} after it froze; 0 of ${ended.length} of its streams failed`,
      'gone in 0.75 s, 0 failed',
    );
  });

  it('are not held up by one that does not read, which grows by little and heals', async () => {
    const [first, , third] = gateways;
    const before = third!.residentBytes();
    const { connections } = (await clusterOf(third!)).nats;
    third!.signal('SIGSTOP');
    const { connect } = await import('@nats-io/transport-node');
    const loud = await connect({ servers: nats.url });
    const bytes = new Uint8Array(100_000);
    for (let i = 0; i < size(2000, 200); i++) {
      loud.publish('kvoyant.default.load', bytes);
      if (i % 20 === 0) await loud.flush();
    }
    await loud.close();
    expect(failed(await burst(first!.url, 3, 10, 30))).toEqual([]);
    // Longer than the server waits for a client.
    await sleep(1500);
    third!.signal('SIGCONT');
    await eventually(async () => (await clusterOf(third!)).nats.connections > connections, patienceMs);
    await healed();
    const grownMb = Math.max(0, (third!.residentBytes() - before) / 1_048_576);
    expect(grownMb).toBeLessThan(200);
    report(
      'replicas: one reads nothing while others send 200 MB',
      `the server cut it off; it came back, whole, ${Math.round(grownMb)} MB larger`,
      'bounded, healed',
    );
  });

  it('serve on with wrong credentials, say so once, and do not disturb the others', async () => {
    const closed = await NatsServer.start('--user', 'kvoyant', '--pass', 'right');
    const variables = { KVOYANT_NATS_USER: 'kvoyant', KVOYANT_NATS_PASSWORD: 'not-the-right-one' };
    Object.assign(process.env, variables);
    let wrong: Program | undefined;
    try {
      wrong = await startGateway(engineUrls, '--nats', closed.url, '--log-level', 'warn', '--no-rehearse');
    } finally {
      for (const name of Object.keys(variables)) delete process.env[name];
    }
    try {
      await eventually(async () => (await clusterOf(wrong)).nats.state === 'refused', patienceMs);
      expect(failed(await burst(wrong.url, 3, 10, 40))).toEqual([]);
      await sleep(1000);
      expect(wrong.logged('NATS refuses the credentials')).toHaveLength(1);
      expect(JSON.stringify(await clusterOf(wrong)) + wrong.logged('').join()).not.toContain('not-the-right-one');
      await atRest(wrong);
    } finally {
      await endAll([wrong]);
      await closed.stop();
    }
    await healed();
    report('replicas: wrong NATS credentials', 'one line in the log; serves on', 'a clear line, serving goes on');
  });

  it('are replaced one by one under load without a failed request', async () => {
    const ready = new Set(gateways);
    let isOver = false;
    // As a load balancer does: requests go to those that were ready at the last look.
    const looking = (async () => {
      while (!isOver) {
        for (const gateway of gateways) {
          const isReady = await getText(`${gateway.url}/ready`).then(
            (text) => (JSON.parse(text) as { ready: boolean }).ready,
            () => false,
          );
          if (isReady) ready.add(gateway);
          else ready.delete(gateway);
        }
        await sleep(50);
      }
    })();
    const ends: Promise<StreamEnd>[] = [];
    const sending = (async () => {
      for (let i = 0; !isOver; i++) {
        const open = [...ready];
        const target = open[i % open.length];
        if (target !== undefined) ends.push(stream(target.url, completion(900_000 + i, 20)));
        await sleep(size(10, 50));
      }
    })();
    for (const gateway of gateways) {
      gateway.signal('SIGTERM');
      expect(await gateway.exitCode()).toBe(0);
      await gateway.restart();
      await eventually(() => isWhole(gateway, replicaCount - 1).then(() => ready.has(gateway)), patienceMs);
    }
    isOver = true;
    await Promise.all([looking, sending]);
    const ended = await Promise.all(ends);
    expect(ended.length).toBeGreaterThan(20);
    expect(failed(ended)).toEqual([]);
    await healed();
    report(
      'replicas: three replaced one by one under load',
      `${failed(ended).length} of ${ended.length} requests failed`,
      '0 failed',
    );
  });
});
