import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { burst, failed } from './fault-client.ts';
import { report, seconds, size } from './fault-report.ts';
import { atRest, endAll, type Program, readyEngines, restartSim, startGateway, startSim } from './processes.ts';

const engineCount = size(8, 3);
const streamCount = size(400, 30);
const outputTokens = 30;

let engines: Program[] = [];
let gateway: Program;

beforeAll(async () => {
  engines = await Promise.all(Array.from({ length: engineCount }, () => startSim(10)));
  gateway = await startGateway(engines);
});
afterAll(() => endAll([gateway, ...engines]));

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('simulated engines with KV events', () => {
  it('fail only streams with tokens when one is killed and one stopped under load, and both return', async () => {
    const [killed, stopped] = engines;
    const ends = burst(gateway.url, streamCount, outputTokens);
    await sleep(size(800, 300));
    killed!.signal('SIGKILL');
    stopped!.signal('SIGSTOP');
    const startMs = performance.now();
    const ended = await ends;
    const tookMs = performance.now() - startMs;
    const lost = failed(ended);
    for (const { how, tokens } of lost) expect([how, tokens > 0]).toEqual(['error', true]);
    stopped!.signal('SIGCONT');
    await restartSim(killed!);
    await eventually(async () => (await readyEngines(gateway)) === engineCount, 20_000);
    await atRest(gateway);
    expect(failed(await burst(gateway.url, streamCount, outputTokens, 2))).toEqual([]);
    await atRest(gateway);
    report(
      `simulated engines: 1 of ${engineCount} killed, 1 frozen under load`,
      `${lost.length} of ${ended.length} failed, all had tokens and got an error event; all ended after ${seconds(tookMs)}`,
      'only streams with tokens, error event each',
    );
  });
});
