import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnreachedLog } from '../../src/gateway/fleet/unreached-log.ts';
import { FakeEngine, replyJson } from './fake-engine.ts';
import { eventually, getJson, Harness } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
let servers: Server[];
beforeEach(() => {
  harness = new Harness();
  servers = [];
});
afterEach(async () => {
  await harness.end();
  for (const server of servers) server.close();
});

async function portOf(onConnection: (data: string) => string | null): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      const answer = onConnection(data.toString('latin1'));
      if (answer !== null) socket.write(Buffer.from(answer, 'latin1'));
      socket.end();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Starts a gateway with one unreachable engine. @returns its reason on `/workers`, and the log at the default level */
async function saidOf(url: string): Promise<{ readonly reason: string; readonly lines: LogLines }> {
  const lines = new LogLines();
  const gateway = await harness.gateway({ workers: [url], logLevel: 'info' }, 0, [], { logTo: lines });
  await eventually(() => lines.with('engine not reached').length > 0, 15_000);
  const { workers } = (await getJson(gateway, '/workers')) as { workers: { reason: string; state: string }[] };
  // Many more attempts have failed by then, but only one is logged.
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(lines.with('engine not reached')).toHaveLength(1);
  expect(lines.with('engine not reached')[0]).toMatchObject({ level: 40, engine: url, reason: workers[0]!.reason });
  return { reason: workers[0]!.reason, lines };
}

describe('an unreachable engine is reported once with advice:', () => {
  it('nothing listens there', async () => {
    expect((await saidOf('http://127.0.0.1:1')).reason).toMatch(/ECONNREFUSED.*nothing listens at 127\.0\.0\.1:1/);
  });

  it('no such host', async () => {
    expect((await saidOf('http://no-such-host.invalid:8000')).reason).toMatch(/no host|name service/);
  });

  it('"/v1" in its address', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => replyJson(response, 404, { detail: 'Not Found' });
    const { reason } = await saidOf(`${engine.url}/v1`);
    expect(reason).toContain(`leave "/v1" out of the address: ${engine.url}`);
  });

  it('another service on its port', async () => {
    const port = await portOf(() => 'SSH-2.0-OpenSSH_9.6\r\n');
    expect((await saidOf(`http://127.0.0.1:${port}`)).reason).toContain('does not speak HTTP');
  });

  it('https:// where it has no TLS', async () => {
    const engine = await harness.engine();
    expect((await saidOf(engine.url.replace('http:', 'https:'))).reason).toContain('write http:// instead');
  });

  it('http:// where it has TLS', async () => {
    const port = await portOf(() => '\x15\x03\x01\x00\x02\x02\x46');
    expect((await saidOf(`http://127.0.0.1:${port}`)).reason).toContain('https:// if it speaks TLS');
  });

  it('a web page instead of a list of models', async () => {
    const page = '<html></html>';
    const port = await portOf(() => `HTTP/1.1 200 OK\r\ncontent-length: ${page.length}\r\n\r\n${page}`);
    expect((await saidOf(`http://127.0.0.1:${port}`)).reason).toMatch(/not JSON.*another service/);
  });
});

describe('the log', () => {
  it('warns of "/v1" in the address of an engine with a configured model, where nothing else would fail', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => replyJson(response, 404, { detail: 'Not Found' });
    const lines = new LogLines();
    const options = { workers: [`${engine.url}/v1,model=fake`], logLevel: 'info' } as const;
    await harness.gateway(options, 1, ['fake'], { logTo: lines });
    expect(lines.with('engine has unusable statements')).toMatchObject([
      { level: 40, remarks: [expect.stringContaining('leave it out')] },
    ]);
  });

  it('warns once about a name that is not found, however often it is looked up', async () => {
    let lookUps = 0;
    const resolve = async (): Promise<string[]> => {
      lookUps += 1;
      throw new Error('ENOTFOUND');
    };
    const lines = new LogLines();
    const options = { workers: ['dns+http://engines.test:8000'], logLevel: 'info', dnsIntervalMs: 10 } as const;
    await harness.gateway(options, 0, [], { resolve, logTo: lines });
    await eventually(() => lookUps > 5);
    const warnings = lines.with('worker name not found; its engines stay');
    expect(warnings).toMatchObject([{ name: 'engines.test', reason: 'ENOTFOUND' }]);
  });

  it('has one line when a missing engine appears', async () => {
    const free = await FakeEngine.start();
    await free.close();
    const lines = new LogLines();
    const worker = `http://127.0.0.1:${free.port}`;
    await harness.gateway({ workers: [worker], logLevel: 'info' }, 0, [], { logTo: lines });
    await eventually(() => lines.with('engine not reached').length === 1);
    await harness.engine({ port: free.port });
    await eventually(() => lines.with('worker ready').length === 1);
    expect(lines.with('engine not reached')).toHaveLength(1);
  });

  it('repeats at growing intervals, and reports another reason at once', () => {
    const said: string[] = [];
    const log = { warn: ({ reason }: { reason: string }) => said.push(reason) };
    const unreached = new UnreachedLog(log as never, 'engine not reached');
    for (let s = 0; s < 4 * 3600; s++) unreached.missed('refused', s * 1000);
    // At 0, 1, 3, 7, 15, 31, 63 minutes, then every hour.
    expect(said).toHaveLength(9);
    unreached.missed('no such host', 4 * 3600 * 1000);
    expect(said.at(-1)).toBe('no such host');
    unreached.missed('refused', 4 * 3600 * 1000 + 1000);
    expect(said).toHaveLength(10);
    unreached.reached();
    unreached.missed('refused', 4 * 3600 * 1000 + 2000);
    expect(said).toHaveLength(11);
  });
});
