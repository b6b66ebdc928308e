import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import { endStream, openStream, replyJson, replyWhole, resetAfter, sendToken, streamTokens } from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

describe('relay', () => {
  it('passes a stream on byte for byte, with its status and headers', async () => {
    const engine = await harness.engine();
    const sent: string[] = [];
    engine.behaviour = (request) => {
      const write = request.response.write.bind(request.response);
      request.response.write = ((chunk: string) => {
        sent.push(chunk);
        return write(chunk);
      }) as typeof write;
      request.response.setHeader('x-engine', 'yes');
      streamTokens(request, 5);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(
      gateway,
      '/v1/chat/completions',
      { ...chatBody, stream: true },
      { 'x-request-id': 'r-1' },
    );
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers['x-engine']).toBe('yes');
    expect(answer.headers['x-request-id']).toBe('r-1');
    expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(engine.url)}#0`);
    expect(answer.headers['x-kvoyant-overlap-tokens']).toBe('0');
    expect(answer.body.startsWith(sent.join(''))).toBe(true);
    expect(answer.body.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('sends the body unchanged, the request id and the authorization of the client', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({ workers: [engine.url] });
    const body = `{ "messages":[{"role":"user","content":"é\\u00e9"}],\n "model": "fake", "unknown_field": [1, 2.50] }`;
    await post(gateway, '/v1/chat/completions', body, { authorization: 'Bearer client', 'x-request-id': 'abc' });
    const [seen] = engine.requests;
    expect(seen!.body).toBe(body);
    expect(seen!.headers['x-request-id']).toBe('abc');
    expect(seen!.headers.authorization).toBe('Bearer client');
    expect(seen!.headers.host).toBe(`127.0.0.1:${engine.port}`);
  });

  it('sends bodies of every size unchanged, whole and in chunks cut anywhere', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => replyWhole(request, String(request.body.length));
    const gateway = await harness.gateway({ workers: [engine.url] });
    // Around the sizes at which sockets, proxies and TLS cut: 16 KB, 62,000 bytes, 64 KB, 1 MB.
    const sizes = [16_384, 62_000, 65_536, 1_048_576].flatMap((size) => [size - 1, size, size + 1]);
    const bodies = sizes.map((size) => {
      const body = JSON.stringify({ model: 'fake', prompt: '' });
      return body.replace('""', `"${'x'.repeat(size - body.length)}"`);
    });
    const whole = bodies.map((body) => post(gateway, '/v1/completions', body));
    const inPieces = bodies.map((body, i) => postInPieces(gateway.url, body, 1 + i * 7919));
    for (const status of [
      ...(await Promise.all(whole)).map((answer) => answer.status),
      ...(await Promise.all(inPieces)),
    ])
      expect(status).toBe(200);
    const seen = engine.requests.map(({ body }) => body);
    for (const body of bodies) expect(seen.filter((other) => other === body)).toHaveLength(2);
  });

  it("sends a worker's own key in place of the client's", async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => replyWhole(request, 'hi');
    const gateway = await harness.gateway({ workers: [`${engine.url},api-key=secret`] });
    await post(gateway, '/v1/chat/completions', chatBody, { authorization: 'Bearer client' });
    expect(engine.requests[0]!.headers.authorization).toBe('Bearer secret');
  });

  it('counts the request while it runs: prefill until the first token, then growing blocks', async () => {
    const engine = await harness.engine();
    let next = (): void => undefined;
    engine.behaviour = async (request) => {
      const step = (): Promise<void> =>
        new Promise((resolve) => {
          next = resolve;
        });
      await step();
      openStream(request);
      sendToken(request, 'a');
      await step();
      for (let i = 0; i < 40; i++) sendToken(request, 'b', i === 39 ? 'stop' : null);
      await step();
      endStream(request, 10, 41);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    await eventually(() => engine.requests.length === 1);
    const load = async () => (await loads(gateway)).workers[0]!;
    expect(await load()).toMatchObject({ runningRequests: 1 });
    const booked = await load();
    expect(booked.activePrefillTokens).toBeGreaterThan(0);
    next();
    await eventually(async () => (await load()).activePrefillTokens === 0);
    expect((await load()).runningRequests).toBe(1);
    next();
    await eventually(async () => (await load()).activeBlocks >= booked.activeBlocks + 2);
    next();
    await answer;
    await atRest(gateway);
  });

  it('passes on an error status of the engine unchanged', async () => {
    const engine = await harness.engine();
    const error = { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } };
    engine.behaviour = ({ response }) => replyJson(response, 400, error);
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(gateway, '/v1/completions', { model: 'fake', prompt: [1, 2, 3] });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body)).toEqual(error);
    const { decisions } = (await getJson(gateway, '/decisions')) as {
      decisions: { outcome: string; status: number }[];
    };
    expect(decisions[0]).toMatchObject({ outcome: 'failed', status: 400 });
  });

  it('ends a stream that the engine cut with an error event', async () => {
    const engine = await harness.engine();
    engine.behaviour = async (request) => {
      openStream(request);
      sendToken(request, 'a');
      await resetAfter(request, 20);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    expect(answer.status).toBe(200);
    const events = answer.body.split('\n\n').filter((event) => event.trim() !== '');
    expect(JSON.parse(events.at(-1)!.slice(6))).toMatchObject({ error: { code: 'upstream_failed' } });
    expect(answer.body).not.toContain('[DONE]');
  });

  it('breaks off an answer in one piece that the engine cut', async () => {
    const engine = await harness.engine();
    engine.behaviour = async (request) => {
      request.response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      request.response.write('{"id":');
      await resetAfter(request, 20);
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    await expect(post(gateway, '/v1/chat/completions', chatBody)).rejects.toThrow();
  });

  it.each([
    ['as it is', false],
    ['with usage taken out', true],
  ])('relays a stream %s with backpressure: a slow client slows a fast engine', async (_, injectUsage) => {
    const engine = await harness.engine();
    const total = 64 * 1024 * 1024;
    let written = 0;
    engine.behaviour = async (request) => {
      openStream(request);
      let wake = (): void => undefined;
      request.response.on('drain', () => wake()).on('close', () => wake());
      // Shorter than the part of an event that may be held.
      const filler = 'x'.repeat(60_000);
      while (written < total && !request.response.destroyed) {
        const more = request.response.write(`: ${filler}\n\n`);
        written += filler.length;
        if (more) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (!request.response.destroyed) request.response.end('data: [DONE]\n\n');
    };
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage });
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...chatBody, stream: true }),
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(written).toBeLessThan(total / 2);
    const bytes = (await response.arrayBuffer()).byteLength;
    expect(bytes).toBeGreaterThan(total);
  });

  it('holds little memory for clients that never read', async () => {
    const engine = await harness.engine();
    engine.behaviour = async (request) => {
      openStream(request);
      const filler = 'x'.repeat(65_536);
      for (let i = 0; i < 640 && !request.response.destroyed; i++) {
        sendToken(request, filler);
        if (request.response.writableNeedDrain) await once(request.response, 'drain').catch(() => undefined);
      }
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answers = new Set<ServerResponse>();
    const port = new URL(gateway.url).port;
    const collect = (message: unknown): void => {
      const { request, response } = message as { request: IncomingMessage; response: ServerResponse };
      if (request.headers.host?.endsWith(`:${port}`)) answers.add(response);
    };
    subscribe('http.server.request.start', collect);
    const aborts = Array.from({ length: 8 }, () => new AbortController());
    await Promise.all(
      aborts.map(({ signal }) =>
        fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          body: JSON.stringify({ ...chatBody, stream: true }),
          signal,
        }),
      ),
    );
    await eventually(
      () => answers.size === 8 && [...answers].every(({ writableLength }) => writableLength > 0),
      20_000,
    );
    unsubscribe('http.server.request.start', collect);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const { writableLength } of answers) {
      // One socket read and the rest of an event.
      expect(writableLength).toBeLessThan(256 * 1024);
    }
    for (const abort of aborts) abort.abort();
    await atRest(gateway);
  });
});

/** Posts chunked, with a pause after the first chunk. @returns the status */
async function postInPieces(url: string, body: string, firstBytes: number): Promise<number> {
  const request = httpRequest(`${url}/v1/completions`, { method: 'POST' });
  request.write(body.slice(0, firstBytes));
  await new Promise((resolve) => setTimeout(resolve, 20));
  request.end(body.slice(firstBytes));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  return response.statusCode!;
}
