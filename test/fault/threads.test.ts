// A gateway whose connections are held by several processes: what happens when one of them, or the gateway, dies.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { burst, completion, failed, stream } from './fault-client.ts';
import { report, size } from './fault-report.ts';
import { atRest, endAll, getText, type Program, script, startGateway, startScripted, stateOf } from './processes.ts';

const engineCount = 4;
const streamCount = size(200, 40);
const tokens = size(200, 100);
const flags = ['--threads', '2', '--tokenizer', 'builtin', '--trust-tokenizer'];
const waitMsMax = 60_000;

let engines: Program[] = [];
let gateway: Program;

beforeAll(async () => {
  engines = await Promise.all(Array.from({ length: engineCount }, () => startScripted()));
  gateway = await startGateway(engines, ...flags);
}, waitMsMax);
afterAll(() => endAll([gateway, ...engines]));

async function counted(name: string): Promise<number> {
  const text = await getText(`${gateway.adminUrl}/metrics`);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
}

const open = async (): Promise<number> => {
  const states = await Promise.all(engines.map(stateOf));
  return states.reduce((sum, state) => sum + state.open, 0);
};

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

it('a thread that is killed loses its own streams alone, frees their load at once, and is replaced', async () => {
  const before = await counted('kvoyant_thread_requests_total{by="thread"}');
  const [doomed, other] = gateway.childPids();
  await Promise.all(engines.map((engine) => script(engine, { kind: 'stream', firstTokenMs: 100, tokens, gapMs: 50 })));
  const running = Array.from({ length: streamCount }, (_, i) => stream(gateway.url, completion(i, tokens), waitMsMax));
  await eventually(async () => (await open()) === streamCount, waitMsMax);
  process.kill(doomed!, 'SIGKILL');
  const ends = await Promise.all(running);
  const lost = failed(ends);
  // Connections are spread evenly; those of the other thread end as if nothing had happened.
  expect(lost.length).toBeGreaterThan(streamCount / 4);
  expect(lost.length).toBeLessThan((streamCount * 3) / 4);
  expect(new Set(lost.map(({ how }) => how))).toEqual(new Set(['cut']));
  for (const end of ends) if (end.how === 'done') expect(end.tokens).toBeGreaterThanOrEqual(tokens);
  await atRest(gateway);
  expect(await counted('kvoyant_thread_deaths_total')).toBe(1);
  expect(gateway.logged('a process for connections died')).toHaveLength(1);
  await eventually(async () => (await counted('kvoyant_threads')) === 2, waitMsMax);
  expect(gateway.childPids()).toContain(other);
  expect(failed(await burst(gateway.url, streamCount, 5, 7))).toEqual([]);
  await atRest(gateway);
  // What they say of the threads' work, the threads did.
  expect(await counted('kvoyant_thread_requests_total{by="thread"}')).toBeGreaterThan(before + streamCount);
  report(
    `1 of 2 threads killed in mid-stream: failed of ${streamCount}`,
    `${lost.length}, all its own; loads 0`,
    'its own alone',
  );
});

it('the threads end with the gateway, however it ends', async () => {
  const threads = gateway.childPids();
  expect(threads).toHaveLength(2);
  const running = stream(gateway.url, completion(1, tokens), waitMsMax);
  await eventually(async () => (await open()) === 1, waitMsMax);
  await gateway.end();
  expect((await running).how).toBe('cut');
  await eventually(() => !threads.some(isAlive), waitMsMax);
  await eventually(async () => (await open()) === 0, waitMsMax);
});
