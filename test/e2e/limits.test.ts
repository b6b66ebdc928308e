// Every limit of the gateway when it is reached: the client's answer and the metrics.

import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeRequest, openStream, replyWhole, sendToken } from './fake-engine.ts';
import { atRest, chatBody, eventually, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

const completion = { model: 'fake', prompt: 'x' };

async function limited(gateway: Gateway, limit: string): Promise<number> {
  const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  return Number(new RegExp(`^kvoyant_limited_total\\{limit="${limit}"\\} (\\d+)$`, 'm').exec(metrics)?.[1] ?? 0);
}

/** Opens a connection and writes; resolves with the response once the gateway has closed it. */
function raw(gateway: Gateway, text: string): { socket: Socket; received: Promise<string> } {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  socket.write(text);
  const received = new Promise<string>((resolve) => {
    let all = '';
    socket.on('data', (chunk) => {
      all += chunk.toString('latin1');
    });
    // A refused connection may be reset.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(all));
  });
  return { socket, received };
}

const errorIn = (answer: string) => JSON.parse(answer.slice(answer.indexOf('{'))) as { error: unknown };

describe('limits of a request', () => {
  it('bodyBytesMax: 413', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], bodyBytesMax: 1024 });
    expect((await post(gateway, '/v1/completions', { ...completion, filler: 'x'.repeat(2000) })).status).toBe(413);
    expect(await limited(gateway, 'bodyBytesMax')).toBe(1);
  });

  it('headerBytesMax: 431', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], headerBytesMax: 4096 });
    const answer = await raw(gateway, `GET /health HTTP/1.1\r\nhost: x\r\nx-filler: ${'x'.repeat(8000)}\r\n\r\n`)
      .received;
    expect(answer).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    expect(errorIn(answer)).toMatchObject({ error: { code: 'headers_too_large' } });
    expect(await limited(gateway, 'headerBytesMax')).toBe(1);
  });

  it('requestMsMax: 408', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], requestMsMax: 100 });
    const started = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{';
    const answer = await raw(gateway, started).received;
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(errorIn(answer)).toMatchObject({ error: { code: 'request_timeout' } });
    expect(await limited(gateway, 'requestMsMax')).toBe(1);
    expect(engine.requests).toEqual([]);
  });

  it('no limit: input that is not HTTP gets 400', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (const garbage of [
      '\x16\x03\x01\x02\x00\x01\x00\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    ]) {
      const answer = await raw(gateway, garbage).received;
      expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      expect(errorIn(answer)).toMatchObject({ error: { code: 'malformed_request' } });
    }
  });
});

it('connectionsMax: further connections are closed, and open ones continue', async () => {
  const engine = await harness.engine();
  const gateway = await harness.gateway({ workers: [engine.url], connectionsMax: 2 });
  const get = 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n';
  const [first, second] = [raw(gateway, get), raw(gateway, get)];
  await Promise.all([first, second].map(({ socket }) => new Promise((resolve) => socket.once('data', resolve))));
  expect(await raw(gateway, get).received).toBe('');
  for (const { socket } of [first, second]) socket.end(get);
  for (const { received } of [first, second]) expect((await received).match(/200 OK/g)).toHaveLength(2);
  await eventually(async () => (await fetch(`${gateway.url}/health`).catch(() => null))?.status === 200);
  expect(await limited(gateway, 'connectionsMax')).toBeGreaterThanOrEqual(1);
});

describe('limits of a key', () => {
  it('inFlightPerKeyMax: 429 until one ends, however it ends', async () => {
    const engine = await harness.engine();
    const held: FakeRequest[] = [];
    engine.behaviour = (request) => held.push(request);
    const gateway = await harness.gateway({ workers: [engine.url], inFlightPerKeyMax: 2 });
    for (let round = 0; round < 3; round++) {
      const leaving = new AbortController();
      const left = fetch(`${gateway.url}/v1/completions`, {
        method: 'POST',
        body: JSON.stringify(completion),
        signal: leaving.signal,
      }).catch(() => 'left');
      const answered = post(gateway, '/v1/completions', completion);
      await eventually(() => held.length === 2);
      const refused = await post(gateway, '/v1/completions', completion);
      expect([refused.status, refused.headers['retry-after']]).toEqual([429, '1']);
      expect(JSON.parse(refused.body)).toMatchObject({
        error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
      });
      leaving.abort();
      expect(await left).toBe('left');
      for (const request of held.splice(0)) replyWhole(request, 'x');
      expect((await answered).status).toBe(200);
      await atRest(gateway);
    }
    expect(await limited(gateway, 'inFlightPerKeyMax')).toBe(3);
  });

  it('requestsPerMinutePerKeyMax: 429 with the time to wait; other keys are not affected', async () => {
    const engine = await harness.engine();
    const key = (name: string) => `${name}-secret-00000000001`;
    const apiKeys = [`a:${key('a')}`, { name: 'b', key: key('b'), requestsPerMinuteMax: 10_000 }];
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys, requestsPerMinutePerKeyMax: 3 });
    const send = (name: string) =>
      post(gateway, '/v1/completions', completion, { authorization: `Bearer ${key(name)}` });
    const statuses: number[] = [];
    // A new minute may begin in between.
    for (let i = 0; i < 7; i++) statuses.push((await send('a')).status);
    expect(statuses.slice(0, 3)).toEqual([200, 200, 200]);
    const refused = await send('a');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    for (let i = 0; i < 8; i++) expect((await send('b')).status).toBe(200);
    expect(await limited(gateway, 'requestsPerMinutePerKeyMax')).toBeGreaterThanOrEqual(1);
  });
});

describe('limits of an answer', () => {
  it("totalMsMax: 504 before the first byte, an error event after it; the engine's request is aborted", async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      if (!request.body.includes('"stream":true')) return;
      openStream(request);
      const timer = setInterval(() => sendToken(request, 'a'), 10);
      request.response.on('close', () => clearInterval(timer));
    };
    const gateway = await harness.gateway({ workers: [engine.url], totalMsMax: 200 });
    const silent = await post(gateway, '/v1/chat/completions', chatBody);
    expect([silent.status, JSON.parse(silent.body)]).toMatchObject([504, { error: { code: 'answer_timeout' } }]);
    const stream = await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    expect(stream.status).toBe(200);
    expect(stream.body).toMatch(/"content":"a"[\s\S]*\n\ndata: \{"error":\{[^\n]*"code":"answer_timeout"\}\}\n\n$/);
    expect((await post(gateway, '/v1/embeddings', { input: 'x' })).status).toBe(504);
    await eventually(() => engine.aborted === 3);
    await atRest(gateway);
    expect(await limited(gateway, 'totalMsMax')).toBe(3);
  });

  it('streamIdleMsMax: an error event if a stream pauses; one that keeps sending may take longer', async () => {
    const engine = await harness.engine();
    engine.behaviour = async (request) => {
      openStream(request);
      for (let i = 0; i < 12; i++) {
        sendToken(request, `t${i}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    };
    const gateway = await harness.gateway({ workers: [engine.url], streamIdleMsMax: 1000 });
    const { body } = await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    expect(body).toContain('"content":"t11"');
    expect(body).toMatch(/data: \{"error":\{[^\n]*"code":"stream_idle"\}\}\n\n$/);
    await eventually(() => engine.aborted === 1);
    await atRest(gateway);
    expect(await limited(gateway, 'streamIdleMsMax')).toBe(1);
  });

  it('streamIdleMsMax: a client that reads nothing is disconnected too', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      openStream(request);
      const flood = (): void => {
        while (!request.response.destroyed && request.response.write(`data: ${'x'.repeat(65_536)}\n\n`));
      };
      request.response.on('drain', flood);
      flood();
    };
    const gateway = await harness.gateway({ workers: [engine.url], streamIdleMsMax: 200 });
    const body = JSON.stringify({ ...chatBody, stream: true });
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n`;
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname).on('error', () => undefined);
    socket.pause();
    socket.write(head + body);
    await eventually(() => engine.aborted === 1, 10_000);
    socket.destroy();
    await atRest(gateway);
    expect(await limited(gateway, 'streamIdleMsMax')).toBe(1);
  });
});
