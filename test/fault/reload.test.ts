import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/index.ts';
import { eventually } from '../e2e/harness.ts';
import { completion, failed, type StreamEnd, stream } from './fault-client.ts';
import { report, seconds, size } from './fault-report.ts';
import { atRest, endAll, type Program, readyEngines, script, startConfigured, startScripted } from './processes.ts';

const engineCount = size(8, 4);
const reloadCount = size(60, 12);
const clientCount = size(24, 16);
/** Time for new engines to be probed on a busy machine. */
const readyMsMax = 20_000;
/** Log message of a reload. */
const reloaded = 'configuration reloaded';
const refused = 'configuration refused; nothing changed';

const folder = mkdtempSync(join(tmpdir(), 'kvoyant-reload-'));
const file = join(folder, 'gateway.yaml');
let engines: Program[] = [];
let gateway: Program;

/** The first engine is always included. */
function configurationOf(workers: readonly Program[], more: readonly string[]): string {
  return ['port: 0', 'workers:', ...workers.map(({ url }) => `  - ${url}`), ...more, ''].join('\n');
}

beforeAll(async () => {
  engines = await Promise.all(Array.from({ length: engineCount }, () => startScripted()));
  await Promise.all(engines.map((engine) => script(engine, { firstTokenMs: 20, tokens: 10, gapMs: 10 })));
  writeFileSync(file, configurationOf(engines, []));
  gateway = await startConfigured(file, engineCount);
});
afterAll(async () => {
  await endAll([gateway, ...engines]);
  rmSync(folder, { recursive: true });
});

const lines = (message: string): number => gateway.logged(message).length;

describe('reloading a configuration repeatedly under load', () => {
  it('fails no request whatever is added or removed; faults change nothing and are reported', async () => {
    const random = new Random(3);
    const ends: StreamEnd[] = [];
    let goOn = true;
    let sent = 0;
    const client = async (): Promise<void> => {
      while (goOn) ends.push(await stream(gateway.url, completion(70_000_000 + sent++, 10)));
    };
    const clients = Array.from({ length: clientCount }, client);
    let bad = 0;
    let slowestMs = 0;
    for (let i = 1; i <= reloadCount; i++) {
      const startMs = performance.now();
      const isBad = i % 4 === 0;
      const workers = engines.filter((_, index) => index === 0 || random.below(2) === 0);
      const limits = [
        `connectionsMax: ${2000 + i}`,
        `bodyBytesMax: ${1_000_000 + i}`,
        `streamIdleMsMax: ${60_000 + i}`,
      ];
      const message = isBad ? refused : reloaded;
      const before = lines(message);
      writeFileSync(file, configurationOf(workers, isBad ? ['bodyBytesMax: much'] : limits));
      // Every other change is found by polling.
      if (i % 2 === 0) gateway.signal('SIGHUP');
      await eventually(() => lines(message) > before, readyMsMax);
      if (!isBad) await eventually(async () => (await readyEngines(gateway)) === workers.length, readyMsMax);
      else bad += 1;
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
    const refusals = gateway.logged(refused);
    for (const line of refusals) expect(line).toMatch(/gateway\.yaml:\d+: bodyBytesMax must be/);
    expect(refusals.length).toBeGreaterThanOrEqual(bad);
    writeFileSync(file, configurationOf(engines, []));
    gateway.signal('SIGHUP');
    await eventually(async () => (await readyEngines(gateway)) === engineCount, readyMsMax);
    goOn = false;
    await Promise.all(clients);
    expect(failed(ends)).toEqual([]);
    await atRest(gateway);
    report(
      `${reloadCount} reloads under load, ${bad} of them of a bad file`,
      `${failed(ends).length} of ${ends.length} failed; a bad file changes nothing; all in force within ${seconds(slowestMs)}`,
      '0',
    );
  });
});
