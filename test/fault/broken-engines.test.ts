import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answersBytesMax } from '../../src/gateway/exchange/answer-budget.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { chatBody, eventually, getJson, Harness, post } from '../e2e/harness.ts';
import { LogLines } from '../e2e/log-lines.ts';
import { report, seconds, size } from './fault-report.ts';
import { ending, lastPiece, piece, pour, RawEngine, streamHead, token } from './raw-engine.ts';

const path = '/v1/chat/completions';
const streamBody = { ...chatBody, stream: true };
/** Bytes of one event that an engine may send before its stream is ended, including those in socket buffers. */
const takenBytesMax = 40 * 1024 * 1024;
const pouredBytesMax = size(512, 48) * 1024 * 1024;

let harness: Harness;
let engine: RawEngine;
beforeEach(async () => {
  harness = new Harness();
  engine = await RawEngine.start();
});
afterEach(async () => {
  await harness.end();
  await engine.close();
});

const start = (): Promise<Gateway> => harness.gateway({ workers: [engine.url], canary: false });

async function nothingInFlight(gateway: Gateway): Promise<void> {
  await eventually(async () => {
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { requestsInFlight: number }[] };
    return workers.every(({ requestsInFlight }) => requestsInFlight === 0);
  });
}

const metrics = async (gateway: Gateway): Promise<string> => (await fetch(`${gateway.adminUrl}/metrics`)).text();

/** @param series with its labels */
function metric(text: string, series: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

describe('an engine that sends an endless event', () => {
  const pieces: readonly (readonly [string, Buffer])[] = [
    ['one line in small pieces', piece('x'.repeat(size(1, 4) * 1024))],
    ['one line in large pieces', piece('x'.repeat(256 * 1024))],
    ['lines of data', piece(`data: ${'x'.repeat(100)}\n`.repeat(600))],
    ['empty lines of data', piece('data:\n'.repeat(10_000))],
  ];

  for (const [what, bytes] of pieces) {
    it(`is logged, and its stream ends with an error event: ${what}`, async () => {
      const log = new LogLines();
      const gateway = await harness.gateway({ workers: [engine.url], logLevel: 'warn' }, 1, ['fake'], {
        logTo: log,
      });
      let sent = 0;
      engine.answer = async (socket) => {
        socket.write(streamHead);
        socket.write(piece(`${token}data: `));
        sent = await pour(socket, bytes, pouredBytesMax);
      };
      const answer = await post(gateway, path, streamBody);
      expect(answer.body).toContain('"code":"upstream_failed"');
      await eventually(() => sent > 0);
      expect(sent).toBeLessThan(takenBytesMax);
      const said = log.lines.find(({ msg }) => msg.includes('server-sent event'));
      expect(said).toMatchObject({ engine: engine.url });
      await nothingInFlight(gateway);
    });
  }

  it('is given up before its first token', async () => {
    const gateway = await start();
    engine.answer = async (socket) => {
      socket.write(streamHead);
      await pour(socket, piece('data:\n'.repeat(1000)), pouredBytesMax);
    };
    const answer = await post(gateway, path, streamBody);
    expect(answer.body).toContain('upstream_failed');
    await nothingInFlight(gateway);
  });
});

describe('engines that send endless events in many streams at once', () => {
  it('share one memory limit: streams above it end with its name, and others are served', async () => {
    const streams = size(400, 80);
    const log = new LogLines();
    const gateway = await harness.gateway({ workers: [engine.url], logLevel: 'warn' }, 1, ['fake'], { logTo: log });
    const part = piece('x'.repeat(300_000));
    const open: Socket[] = [];
    const began = performance.now();
    engine.answer = (socket) => {
      open.push(socket);
      socket.write(Buffer.concat([Buffer.from(streamHead), piece(token), piece('data: '), part, part, part]));
    };
    const heldBytes = async (): Promise<number> => metric(await metrics(gateway), 'kvoyant_answer_bytes');
    const answers = Array.from({ length: streams }, () => post(gateway, path, streamBody));
    let ended = 0;
    for (const answer of answers) void answer.then(() => (ended += 1));
    let heldBytesMax = 0;
    await eventually(async () => {
      heldBytesMax = Math.max(heldBytesMax, await heldBytes());
      return open.length === streams && ended > 0 && heldBytesMax > 20_000_000;
    });
    engine.answer = (socket) => socket.write(Buffer.concat([Buffer.from(streamHead), piece(ending), lastPiece]));
    expect((await post(gateway, path, streamBody)).body).toContain('[DONE]');
    for (const socket of open) socket.write(Buffer.concat([piece(`\n\n${ending}`), lastPiece]));
    const bodies = (await Promise.all(answers)).map(({ body }) => body);
    expect(heldBytesMax).toBeLessThanOrEqual(answersBytesMax);
    const refused = bodies.filter((body) => body.includes('"code":"answers_too_large_together"'));
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toContain('answersBytesMax');
    expect(bodies.filter((body) => body.includes('[DONE]')).length).toBe(streams - refused.length);
    expect(metric(await metrics(gateway), 'kvoyant_limited_total{limit="answersBytesMax"}')).toBe(refused.length);
    expect(log.lines.find(({ limit }) => limit === 'answersBytesMax')).toMatchObject({ engine: engine.url });
    await nothingInFlight(gateway);
    expect(await heldBytes()).toBe(0);
    report(
      'events that do not end, in many streams',
      `${streams} streams of 900 kB, ${refused.length} ended, at most ${(heldBytesMax / 2 ** 20).toFixed(0)} MiB held, ${seconds(performance.now() - began)}`,
      'at most 64 MiB, others served',
    );
  });
});

describe('an engine that sends impossible values', () => {
  const choice = (index: unknown): object => ({ index, delta: { content: 'b' }, finish_reason: null });
  const chunks: readonly (readonly [string, object])[] = [
    ['an index of a billion', { choices: [choice(1_000_000_000)] }],
    ['an index of 2^53', { choices: [choice(2 ** 53)] }],
    ['a negative index', { choices: [choice(-1)] }],
    ['an index of one and a half', { choices: [choice(1.5)] }],
    ['choices of null', { choices: [null, 1, 'x', []] }],
    ['thousands of choices', { choices: Array.from({ length: 20_000 }, (_, i) => choice(i)) }],
    ['the same choice thousands of times', { choices: Array.from({ length: 20_000 }, () => choice(0)) }],
    [
      'a million token ids',
      { choices: [{ index: 0, text: 'x', token_ids: Array.from({ length: 300_000 }, () => 1) }] },
    ],
    ['an event of some megabytes', { choices: [choice(0)], prompt_token_ids: 'x'.repeat(3_000_000) }],
    ['a usage of 10^15 tokens', { choices: [], usage: { prompt_tokens: 5, completion_tokens: 1e15 } }],
    ['a usage of 2^31 tokens', { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 ** 31 - 1 } }],
    ['an error that is a number', { choices: [choice(0)], error: null, usage: 7 }],
  ];

  for (const [what, chunk] of chunks) {
    it(`is passed on and delays nobody: ${what}`, async () => {
      const gateway = await start();
      const text = JSON.stringify(chunk);
      let served = '';
      engine.answer = async (socket) => {
        engine.answer = (other) => other.write(Buffer.concat([Buffer.from(streamHead), piece(ending), lastPiece]));
        socket.write(Buffer.concat([Buffer.from(streamHead), piece(token), piece(`data: ${text}\n\n`)]));
        served = (await post(gateway, path, streamBody)).body;
        socket.write(Buffer.concat([piece(ending), lastPiece]));
      };
      const answer = await post(gateway, path, streamBody);
      expect(answer.body).toContain(text);
      expect(answer.body).toContain('[DONE]');
      expect(served).toContain('[DONE]');
      await nothingInFlight(gateway);
    });
  }
});

describe('an engine with an unusual form of answer', () => {
  const head = (status: string, headers: string, body = ''): string =>
    `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`;

  it('has a UTF-8 reason phrase replaced, and its answer passed on', async () => {
    const gateway = await start();
    for (const phrase of ['Ãlles güt 🧭', '', 'x'.repeat(5000)]) {
      engine.answer = (socket) => socket.write(Buffer.from(head(`422 ${phrase}`, 'content-length: 2', '{}')));
      const answer = await post(gateway, path, streamBody);
      expect([answer.status, answer.body]).toEqual([422, '{}']);
    }
  });

  it('has headers that Node refuses to write omitted or sent unchanged', async () => {
    const gateway = await start();
    const value = 'grün 🧭';
    engine.answer = (socket) =>
      socket.write(
        Buffer.from(head('200 OK', `content-type: application/json\r\nx-name: ${value}\r\ncontent-length: 2`, '{}')),
      );
    const answer = await post(gateway, path, chatBody);
    expect(answer.status).toBe(200);
    expect(Buffer.from(String(answer.headers['x-name']), 'latin1').toString('utf8')).toBe(value);
  });

  it('has a compressed stream passed on unchanged', async () => {
    const gateway = await start();
    const bytes = gzipSync(token + ending);
    engine.answer = (socket) =>
      socket.write(
        Buffer.concat([
          Buffer.from(streamHead.replace('\r\n\r\n', '\r\ncontent-encoding: gzip\r\n\r\n')),
          piece(bytes),
          lastPiece,
        ]),
      );
    const answer = await post(gateway, path, streamBody);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-encoding']).toBe('gzip');
    await nothingInFlight(gateway);
  });

  it('may send trailers, early hints and comments', async () => {
    const gateway = await start();
    engine.answer = (socket) => {
      socket.write('HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n');
      socket.write(streamHead.replace('\r\n\r\n', '\r\ntrailer: x-sum\r\n\r\n'));
      socket.write(piece(`: hello\n\n${ending}`));
      socket.write('0\r\nx-sum: 1\r\n\r\n');
    };
    expect((await post(gateway, path, streamBody)).body).toContain('[DONE]');
    await nothingInFlight(gateway);
  });

  const endings: readonly (readonly [string, string, number | null])[] = [
    ['101', head('101 Switching Protocols', 'connection: upgrade\r\nupgrade: x'), null],
    ['204 with a body', head('204 No Content', 'content-length: 5', 'hello'), 204],
    ['304 with a body', head('304 Not Modified', 'content-length: 5', 'hello'), null],
    ['a status of 999', head('999 What', 'content-length: 2', '{}'), 999],
    ['both lengths', head('200 OK', 'content-length: 5\r\ntransfer-encoding: chunked', 'hello'), null],
    ['a broken chunk', `${streamHead}zz\r\nhello`, null],
    ['headers without end', `HTTP/1.1 200 OK\r\n${'x-a: b\r\n'.repeat(20_000)}`, null],
    ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n', null],
  ];
  for (const [what, bytes, status] of endings) {
    it(`has an end for the client: ${what}`, async () => {
      const gateway = await start();
      engine.answer = (socket) => socket.end(bytes);
      const answer = await post(gateway, path, streamBody);
      expect(answer.status).toBe(status ?? 502);
      if (status === null) expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upstream_failed' } });
      await nothingInFlight(gateway);
    });
  }

  it('may send a huge answer in one piece to a slow client without memory growth; its usage is ignored', async () => {
    const gateway = await start();
    const megabytes = size(200, 24);
    const part = Buffer.alloc(1024 * 1024, 'x');
    let written = 0;
    engine.answer = async (socket) => {
      socket.write(
        head('200 OK', `content-type: application/json\r\ncontent-length: ${megabytes * part.length + 2}`, '"'),
      );
      written = await pour(socket, part, megabytes * part.length);
      socket.write('"');
    };
    const response = await fetch(gateway.url + path, { method: 'POST', body: JSON.stringify(chatBody) });
    let bytes = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) bytes += chunk.length;
    expect(bytes).toBe(megabytes * part.length + 2);
    expect(written).toBe(megabytes * part.length);
    await nothingInFlight(gateway);
  });
});
