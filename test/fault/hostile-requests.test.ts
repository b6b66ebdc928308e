import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/index.ts';
import { burst, failed } from './fault-client.ts';
import { report, size } from './fault-report.ts';
import { whileProbing } from './health-prober.ts';
import { mutatedRequest } from './mutated-requests.ts';
import {
  atRest,
  endAll,
  type Program,
  readyEngines,
  script,
  startGateway,
  startScripted,
  stateOf,
} from './processes.ts';

const requestCount = size(10_000, 600);
const atOnce = 32;
/** A request that is unanswered by then waits for more bytes. */
const patienceMs = 300;

let engines: Program[] = [];
let gateway: Program;

beforeAll(async () => {
  engines = await Promise.all([startScripted(), startScripted()]);
  gateway = await startGateway(engines);
  await Promise.all(engines.map((engine) => script(engine, { firstTokenMs: 0, tokens: 2, gapMs: 1 })));
});
afterAll(() => endAll([gateway, ...engines]));

/** @returns the status codes received */
function send(bytes: Buffer): Promise<number[]> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ port: Number(gateway.port), host: '127.0.0.1' });
    const end = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve([...text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map((match) => Number(match[1])));
    };
    const timer = setTimeout(end, patienceMs);
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.on('error', end).on('close', end);
    socket.write(bytes);
  });
}

describe('malformed and hostile requests', () => {
  it('get a 4xx or no answer; none reaches an engine wrongly, and all others are served', async () => {
    const random = new Random(6);
    const statuses = new Map<number, number>();
    let sent = 0;
    const sender = async (): Promise<void> => {
      while (sent < requestCount) {
        sent += 1;
        for (const status of await send(mutatedRequest(random))) statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    const { result: ends, probes } = await whileProbing(gateway.url, async () => {
      const senders = Array.from({ length: atOnce }, sender);
      const others = await burst(gateway.url, size(200, 40), 2);
      await Promise.all(senders);
      return others;
    });
    expect(failed(ends)).toEqual([]);
    expect(probes.failures).toBe(0);
    expect([...statuses.keys()].filter((status) => status >= 500)).toEqual([]);
    for (const engine of engines) expect((await stateOf(engine)).foreign).toBe(0);
    expect(await readyEngines(gateway)).toBe(engines.length);
    await atRest(gateway);
    const counts = [...statuses].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
    report(
      `${requestCount} mutated HTTP requests`,
      `${counts.join(', ')}; beside them ${failed(ends).length} of ${ends.length} failed; /health p99 ${probes.p99Ms.toFixed(0)} ms`,
      'no 5xx, nothing smuggled, 0 failed',
    );
  });
});
