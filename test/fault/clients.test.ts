import { type ClientRequest, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../e2e/harness.ts';
import { burst, completion, failed } from './fault-client.ts';
import { report, seconds, size } from './fault-report.ts';
import { atRest, endAll, type Program, script, startGateway, startScripted, stateOf } from './processes.ts';

const engineCount = size(8, 2);
const clientCount = size(200, 50);
const abortMsMax = 2000;

let engines: Program[] = [];
let gateway: Program;

beforeAll(async () => {
  engines = await Promise.all(Array.from({ length: engineCount }, () => startScripted()));
  gateway = await startGateway(engines);
});
afterAll(() => endAll([gateway, ...engines]));
afterEach(() => atRest(gateway));

const open = async (): Promise<number> => {
  const states = await Promise.all(engines.map(stateOf));
  return states.reduce((sum, state) => sum + state.open, 0);
};

/** Sends a request of whose answer only the first chunk is read. */
function begin(seed: number): { request: ClientRequest; begun: Promise<void> } {
  const request = httpRequest(`${gateway.url}/v1/completions`, { method: 'POST', agent: false });
  request.on('error', () => undefined);
  const begun = new Promise<void>((resolve) => {
    request.on('response', (response) => response.once('data', () => resolve()));
  });
  request.end(completion(seed, 1000));
  return { request, begun };
}

describe('clients that go away', () => {
  for (const [when, ways] of [
    ['before the first byte', { kind: 'stream', firstTokenMs: 60_000, tokens: 1, gapMs: 1 }],
    ['in mid-stream', { kind: 'never-ending', gapMs: 20 }],
  ] as const) {
    it(`${when} free the engines`, async () => {
      await Promise.all(engines.map((engine) => script(engine, ways)));
      const clients = Array.from({ length: clientCount }, (_, i) => begin(i));
      await eventually(async () => (await open()) === clientCount, 20_000);
      if (when === 'in mid-stream') await Promise.all(clients.map(({ begun }) => begun));
      const goneMs = Date.now();
      for (const { request } of clients) request.destroy();
      await eventually(async () => (await open()) === 0, abortMsMax);
      expect(gateway.logged('by a fault of the gateway')).toEqual([]);
      const states = await Promise.all(engines.map(stateOf));
      const busyMs = Math.max(...states.map(({ closedMs }) => closedMs)) - goneMs;
      report(`${clientCount} clients gone ${when}`, `engines busy for ${seconds(busyMs)} after`, '0.1 s');
    });
  }
});

describe('clients that never read', () => {
  it("stop the engines, and don't grow the gateway's memory", async () => {
    const count = size(50, 20);
    // More than the socket buffers between engine and client hold.
    const bytesEach = 40 * 1024 * 1024;
    const flood = (bytes: number): Promise<unknown> =>
      Promise.all(engines.map((engine) => script(engine, { kind: 'flood', tokens: bytes / 32_768 })));
    await flood(1024 * 1024);
    // Warm-up: the gateway allocates what this many streams need.
    for (let i = 0; i < 2; i++) expect(failed(await burst(gateway.url, count, 1000, i))).toEqual([]);
    const beforeBytes = gateway.residentBytes();
    await flood(bytesEach);
    const body = completion(1, 1000);
    const head = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    const sockets = Array.from({ length: count }, () => {
      const socket = connect({ port: Number(gateway.port), host: '127.0.0.1' });
      socket.on('error', () => undefined).pause();
      socket.write(head + body);
      return socket;
    });
    await eventually(async () => (await open()) === count, 10_000);
    let peakBytes = 0;
    for (let i = 0; i < size(50, 20); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      peakBytes = Math.max(peakBytes, gateway.residentBytes());
    }
    const addedMiB = (peakBytes - beforeBytes) / 1024 / 1024;
    // Far below the bytes sent, whatever the heap held before.
    expect(addedMiB).toBeLessThan(60);
    report(
      `${count} clients that never read, ${bytesEach / 1024 / 1024} MB each`,
      `memory of the gateway ${(beforeBytes / 1024 / 1024).toFixed(0)} -> ${(peakBytes / 1024 / 1024).toFixed(0)} MB`,
      '+ 20 MB at most',
    );
    for (const socket of sockets) socket.destroy();
    await eventually(async () => (await open()) === 0, abortMsMax);
  });
});
