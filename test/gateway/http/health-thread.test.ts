import { connect } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { type HealthAnswer, type HealthFacts, healthAnswers } from '../../../src/gateway/http/health-answers.ts';
import { HealthBoard } from '../../../src/gateway/http/health-board.ts';
import { HealthListenError, HealthThread, type HealthThreadOptions } from '../../../src/gateway/http/health-thread.ts';
import { eventually } from '../../e2e/harness.ts';
import { LogLines } from '../../e2e/log-lines.ts';
import { tlsIdentity } from '../../e2e/tls-files.ts';
import { whileProbing } from '../../fault/health-prober.ts';
import { getText } from '../../fault/processes.ts';

const started: HealthThread[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((thread) => thread.close()));
});

const well = { engines: 3, readyEngines: 2, stopping: false };

async function start(options: Partial<HealthThreadOptions> = {}): Promise<HealthThread> {
  const log = pino({ level: 'silent' });
  const thread = await HealthThread.start({
    host: '127.0.0.1',
    port: 0,
    tls: null,
    facts: () => well,
    log,
    ...options,
  });
  started.push(thread);
  return thread;
}

const urlOf = ({ port }: HealthThread): string => `http://127.0.0.1:${port}`;

/** Keeps the event loop from turning. */
function hang(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('the answers', () => {
  const answer = (path: string, facts: Partial<HealthFacts>): HealthAnswer =>
    healthAnswers.get(path)!({ ...well, hungMs: null, ...facts });

  it('/health says whether the event loop turns, whatever engines do', () => {
    expect(answer('/health', { readyEngines: 0, stopping: true })).toMatchObject({ status: 200, body: 'ok\n' });
    expect(answer('/health', { hungMs: 12_345 })).toMatchObject({
      status: 503,
      body: 'the event loop has not turned for 12 s\n',
    });
  });

  it('/ready needs an engine, and a gateway that neither stops nor hangs', () => {
    expect(answer('/ready', {}).status).toBe(200);
    for (const facts of [{ readyEngines: 0 }, { stopping: true }, { hungMs: 12_345 }]) {
      const { status, body } = answer('/ready', facts);
      expect(status).toBe(503);
      expect(JSON.parse(body)).toEqual({ ready: false, ...well, ...facts });
    }
  });
});

it('a board shows what another board of the same memory was told, and how long ago', () => {
  const board = new HealthBoard();
  board.beat(well);
  const shown = new HealthBoard(board.memory);
  expect(shown.read(1000)).toEqual({ ...well, hungMs: null });
  hang(30);
  expect(shown.read(20).hungMs).toBeGreaterThan(20);
  board.beat({ engines: 0, readyEngines: 0, stopping: true });
  expect(shown.read(1000)).toEqual({ engines: 0, readyEngines: 0, stopping: true, hungMs: null });
});

describe('the thread', () => {
  it('answers while the event loop is held', async () => {
    const heldMs = 2000;
    const thread = await start();
    const { probes } = await whileProbing(urlOf(thread), async () => hang(heldMs));
    expect(probes.failures).toBe(0);
    // Each probe of the first half would wait for longer.
    expect(probes.p99Ms).toBeLessThan(heldMs / 2);
    expect(probes.count).toBeGreaterThan(10);
  });

  it('answers 503 once the event loop hangs, and 200 when it turns again', async () => {
    const thread = await start({ silenceMsMax: 500 });
    const { probes } = await whileProbing(urlOf(thread), async () => hang(1500));
    expect(probes.failures).toBeGreaterThan(5);
    expect(probes.failures).toBeLessThan(probes.count);
    await eventually(async () => (await getText(`${urlOf(thread)}/health`)) === 'ok\n');
  });

  it('shows changes at the next beat, knows no other routes, and takes no other methods', async () => {
    let facts = well;
    const thread = await start({ facts: () => facts });
    expect(JSON.parse(await getText(`${urlOf(thread)}/ready?verbose`))).toEqual({ ready: true, ...well });
    facts = { ...well, stopping: true };
    thread.beat();
    expect((await fetch(`${urlOf(thread)}/ready`)).status).toBe(503);
    expect((await fetch(`${urlOf(thread)}/metrics`)).status).toBe(404);
    expect((await fetch(`${urlOf(thread)}/health`, { method: 'POST', body: 'x' })).status).toBe(405);
    const head = await fetch(`${urlOf(thread)}/health`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
  });

  it('survives what is no HTTP, and many idle connections', async () => {
    const thread = await start();
    const sockets = Array.from({ length: 200 }, () => {
      const socket = connect(thread.port, '127.0.0.1').on('error', () => undefined);
      socket.write('\x16\x03\x01 this is no HTTP\r\n\r\n');
      return socket;
    });
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve).resume())));
    expect(await getText(`${urlOf(thread)}/health`)).toBe('ok\n');
  });

  it('is replaced at the same port when it dies, and the log says so', async () => {
    const log = new LogLines();
    const thread = await start({ log: pino({}, log) });
    const { port } = thread;
    await thread.kill();
    await eventually(async () => {
      const answer = await getText(`http://127.0.0.1:${port}/health`).catch(() => '');
      return answer === 'ok\n';
    }, 15_000);
    expect(log.with('the health thread died; a new one is started')).toHaveLength(1);
    await eventually(() => log.with('the health thread answers again').length === 1);
  });

  it('says why it can not listen, and ends cleanly', async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toThrow(HealthListenError);
    await started.pop()!.close();
    await expect(getText(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
  });

  it('speaks TLS with the certificate of the last reload', async () => {
    const thread = await start({ tls: tlsIdentity('first') });
    expect(await getText(`https://127.0.0.1:${thread.port}/health`)).toBe('ok\n');
    thread.renew(tlsIdentity('second'));
    expect(await getText(`https://127.0.0.1:${thread.port}/health`)).toBe('ok\n');
  });
});
