import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { examineWorkers, type WorkerExam } from '../../src/gateway/doctor/examine.ts';
import { type GatewayOptions, startGateway } from '../../src/gateway/index.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { type Bends, EngineProxy } from './engine-proxy.ts';
import { FakeEngine, replyWhole } from './fake-engine.ts';
import { freePort } from './free-port.ts';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const timeoutMs = 20_000;

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function sims(options: Partial<StartOptions> = {}): Promise<SimWorkers> {
  const fleet = await startSimWorkers({
    port: 0,
    kvEventsPort: 0,
    model: 'sick',
    speedup: 50,
    blocks: 500,
    ...options,
  });
  ends.push(() => fleet.close());
  return fleet;
}

async function bent(url: string, bends: Bends): Promise<string> {
  const proxy = await EngineProxy.start(url, bends);
  ends.push(() => proxy.close());
  return proxy.url;
}

const examine = (worker: string | string[], options: Partial<GatewayOptions> = {}): Promise<WorkerExam[]> =>
  examineWorkers({ workers: [worker].flat(), tokenizer: 'builtin', probeIntervalMs: 25, ...options }, timeoutMs);

async function causesOf(worker: string, options: Partial<GatewayOptions> = {}): Promise<string[]> {
  const [exam] = await examine(worker, options);
  expect(exam!.sound).toBe(false);
  return exam!.findings.map(({ cause }) => cause);
}

const withoutDiscovery: Bends = { answer: (path, body) => (path === '/kv_event_sources' ? null : body) };

describe('the doctor', () => {
  it('finds no fault with sound workers', async () => {
    const { workers } = await sims({ count: 2 });
    const exams = await examine(workers.map(({ url }) => url));
    expect(exams).toEqual(
      workers.map(({ url }) => ({
        worker: `${url}#0`,
        sound: true,
        proof: ['token-count', 'usage', 'events'],
        findings: [],
        notes: [],
      })),
    );
  });

  it('distinguishes a topic filter from a silent feed', async () => {
    const { workers } = await sims({ kvEventsTopic: 'kv@pod@model' });
    const answer = (path: string, body: string): string =>
      path === '/kv_event_sources' ? body.replace('kv@pod@model', 'kv@other') : body;
    const [exam] = await examine(await bent(workers[0]!.url, { answer }));
    expect(exam!.findings).toMatchObject([
      { cause: 'topic-filter', message: expect.stringContaining('"kv@pod@model"') },
    ]);
  });

  it('distinguishes an engine that connects from a wrong port', async () => {
    const port = await freePort();
    const { workers } = await sims({ kvEventsConnect: `tcp://127.0.0.1:${port}` });
    const url = await bent(workers[0]!.url, withoutDiscovery);
    expect(await causesOf(`${url},kv-events=tcp://127.0.0.1:${port}`)).toEqual(['connect-not-bind']);
    expect(await causesOf(`${url},kv-events=tcp://127.0.0.1:${await freePort()}`)).toEqual(['wrong-endpoint']);
  });

  it('distinguishes an engine that opens its port from one that should connect', async () => {
    const { workers } = await sims();
    const port = new URL(workers[0]!.kvEvents!).port;
    const url = await bent(workers[0]!.url, withoutDiscovery);
    expect(await causesOf(`${url},kv-events=bind:tcp://127.0.0.2:${port}`)).toEqual(['bind-not-connect']);
  });

  it('recognizes an engine that opens the port on this machine that we would open', async () => {
    const { workers } = await sims();
    const port = new URL(workers[0]!.kvEvents!).port;
    const url = await bent(workers[0]!.url, withoutDiscovery);
    expect(await causesOf(`${url},kv-events=bind:tcp://127.0.0.1:${port}`)).toEqual(['bind-not-connect']);
  });

  it('does not report a port that a running gateway uses as wrong', async () => {
    const port = await freePort();
    const { workers } = await sims({ kvEventsConnect: `tcp://127.0.0.1:${port}` });
    const worker = `${await bent(workers[0]!.url, withoutDiscovery)},kv-events=bind:tcp://127.0.0.1:${port}`;
    const serving = await startGateway({ workers: [worker], tokenizer: 'builtin', port: 0, logLevel: 'silent' });
    ends.push(() => serving.close());
    await serving.whenReady(timeoutMs);
    const [exam] = await examine(worker);
    expect(exam).toMatchObject({
      sound: true,
      proof: ['token-count', 'usage'],
      notes: [expect.stringContaining(`port ${port} is already open on this machine`)],
    });
  });

  it('notes that a gateway started later will be a late joiner', async () => {
    const { workers } = await sims();
    const url = await bent(workers[0]!.url, withoutDiscovery);
    const [exam] = await examine(`${url},kv-events=${workers[0]!.kvEvents}`);
    expect(exam).toMatchObject({ sound: true, notes: [expect.stringContaining('late-join')] });
  });

  it('notes further ports of the engine that serve the same model', async () => {
    let engines: FakeEngine[] = [];
    // Other programs may use neighbouring ports.
    for (let attempt = 0; engines.length < 3 && attempt < 20; attempt++) {
      await Promise.all(engines.splice(0).map((engine) => engine.close()));
      const first = await FakeEngine.start();
      engines = [first];
      for (let i = 1; i < 3; i++) {
        const next = await FakeEngine.start({ port: first.port + i }).catch(() => null);
        if (next !== null) engines.push(next);
      }
    }
    ends.push(async () => void (await Promise.all(engines.map((engine) => engine.close()))));
    for (const engine of engines) engine.behaviour = (request) => replyWhole(request, 'hi');
    const [alone] = await examine(engines[0]!.url, { trustTokenizer: true });
    expect(alone!.notes).toEqual([
      expect.stringContaining(`${engines[1]!.url}, ${engines[2]!.url} also serves "fake"`),
    ]);
    const all = await examine(
      engines.map(({ url }) => url),
      { trustTokenizer: true },
    );
    for (const { notes } of all) expect(notes).toEqual([]);
  });

  it('does not wait for an engine that is not running', async () => {
    const startMs = performance.now();
    const [exam] = await examineWorkers(
      { workers: [`http://127.0.0.1:${await freePort()}`], tokenizer: 'builtin' },
      60_000,
    );
    expect(exam!.findings).toMatchObject([{ cause: 'unreachable', message: expect.stringContaining('ECONNREFUSED') }]);
    expect(performance.now() - startMs).toBeLessThan(20_000);
  });

  it('reports an engine that is missing, and one that completes nothing', async () => {
    expect(
      (await examineWorkers({ workers: [`http://127.0.0.1:${await freePort()}`], tokenizer: 'builtin' }, 300))[0],
    ).toMatchObject({
      sound: false,
      findings: [{ cause: 'unreachable', message: expect.stringContaining('ECONNREFUSED') }],
    });
    const { workers } = await sims();
    const answer = (path: string, body: string): string | null => (path === '/v1/completions' ? null : body);
    expect(await causesOf(await bent(workers[0]!.url, { answer }))).toEqual(['unreachable']);
  });

  it('is a command whose exit code reports faults', async () => {
    const { workers } = await sims();
    const { url } = workers[0]!;
    const run = (...args: string[]) => promisify(execFile)(process.execPath, [program, 'doctor', ...args]);
    const sound = await run('--worker', url, '--tokenizer', 'builtin');
    expect(sound.stdout).toBe(`${url}#0  sound  (proved by token-count, usage, events)\n`);
    const faulty = run('--worker', `${url},block-size=24`, '--tokenizer', 'builtin', '--json');
    await expect(faulty).rejects.toMatchObject({ code: 1 });
    const { stdout } = (await faulty.catch((error: unknown) => error)) as { stdout: string };
    expect(JSON.parse(stdout)).toMatchObject({ workers: [{ sound: false, findings: [{ cause: 'block-size' }] }] });
    await expect(run('--worker', 'nonsense')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('error:'),
    });
  });
});
