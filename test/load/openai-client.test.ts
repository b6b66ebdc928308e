import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { OpenAiClient } from '../../src/load/openai-client.ts';
import { doneEvent, event, request, startStream, tokenEvent, usageEvent, withClient } from './sse-server.ts';

describe('OpenAiClient', () => {
  it('measures a chat stream: role first, an empty token, a pause, several tokens in a chunk, usage', async () => {
    const record = await withClient(
      async (response) => {
        startStream(response);
        const chunk = (delta: object, finish: string | null = null, ids: number[] | null = null) =>
          event({ choices: [{ index: 0, delta, finish_reason: finish, token_ids: ids }] });
        response.write(chunk({ role: 'assistant', content: '' }));
        await sleep(40);
        response.write(`: a comment\n\n${chunk({ content: '' })}`);
        await sleep(40);
        response.write(chunk({ content: 'two tokens' }, null, [1, 2]));
        response.write(chunk({ content: 'end' }, 'length'));
        response.end(usageEvent(12, 4, 8) + doneEvent);
      },
      (client) => client.send(request()),
    );
    expect(record).toMatchObject({ failure: null, outputTokens: 4, promptTokens: 12, cachedTokens: 8, index: 0 });
    expect(record.firstTokenMs! - record.sentMs).toBeGreaterThan(30);
    expect(record.gapsMs).toHaveLength(3);
    expect(record.gapsMs[0]).toBeGreaterThan(30);
    expect(record.gapsMs[1]).toBe(0);
    expect(record.endMs).toBeGreaterThanOrEqual(record.firstTokenMs! + record.gapsMs[0]!);
  });

  it('sends the body unchanged, with its headers', async () => {
    const seen: unknown[] = [];
    const record = await withClient(
      (response, incoming, body) => {
        seen.push(incoming.method, incoming.url, incoming.headers['x-test'], incoming.headers['content-type'], body);
        startStream(response);
        response.end(tokenEvent('a') + doneEvent);
      },
      (client) => client.send({ index: 3, arrivalMs: 0, path: '/v1/chat/completions', body: '{"a":"ü"}' }),
      { headers: { 'x-test': 'yes' } },
    );
    expect(seen).toEqual(['POST', '/v1/chat/completions', 'yes', 'application/json', '{"a":"ü"}']);
    expect(record).toMatchObject({ index: 3, failure: null, outputTokens: 1 });
  });

  it('assembles an event that arrives byte by byte', async () => {
    const record = await withClient(
      async (response) => {
        startStream(response);
        for (const byte of Buffer.from(tokenEvent('ä') + tokenEvent('b') + doneEvent)) {
          response.write(Buffer.of(byte));
          if (byte === 0x0a) await sleep(1);
        }
        response.end();
      },
      (client) => client.send(request()),
    );
    expect(record).toMatchObject({ failure: null, outputTokens: 2 });
  });

  it('records an HTTP refusal with the message of its envelope', async () => {
    const record = await withClient(
      (response) => {
        response.writeHead(503, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ error: { message: 'no worker', type: 'server_error', param: null, code: 503 } }));
      },
      (client) => client.send(request()),
    );
    expect(record.failure).toEqual({ kind: 'status', message: 'HTTP 503: no worker' });
  });

  it('records an error event in the middle of a stream', async () => {
    const record = await withClient(
      (response) => {
        startStream(response);
        response.end(`${tokenEvent('a')}data: {"error": {"message": "boom", "code": 500}}\n\n${doneEvent}`);
      },
      (client) => client.send(request()),
    );
    expect(record).toMatchObject({ failure: { kind: 'error-event', message: 'boom' }, outputTokens: 1 });
  });

  it('records a stream that ends, or breaks, before its end mark', async () => {
    const ended = await withClient(
      (response) => {
        startStream(response);
        response.end(tokenEvent('a'));
      },
      (client) => client.send(request()),
    );
    expect(ended.failure).toEqual({ kind: 'cut', message: 'the stream ended without [DONE]' });
    const broken = await withClient(
      async (response) => {
        startStream(response);
        response.write(tokenEvent('a'));
        await sleep(20);
        response.destroy();
      },
      (client) => client.send(request()),
    );
    expect(broken).toMatchObject({ failure: { kind: 'cut' }, outputTokens: 1 });
  });

  it('records a refused connection', async () => {
    const client = new OpenAiClient('http://127.0.0.1:1');
    const record = await client.send(request());
    await client.close();
    expect(record.failure?.kind).toBe('connect');
    expect(record.failure?.message).toContain('ECONNREFUSED');
  });

  it('gives up on a server that never answers, with the name of the time limit', async () => {
    const record = await withClient(
      () => {},
      (client) => client.send(request()),
      { requestTimeoutMs: 60 },
    );
    expect(record.failure).toEqual({ kind: 'timeout', message: 'no end within requestTimeoutMs 60' });
  });

  it("aborts at the signal, also the server's work: before, during and after sending", async () => {
    for (const answering of [false, true]) {
      let serverSawClose: Promise<unknown> = Promise.resolve();
      const abort = new AbortController();
      const record = await withClient(
        (response) => {
          serverSawClose = once(response, 'close');
          if (answering) {
            startStream(response);
            response.write(tokenEvent('a'));
          }
          setTimeout(() => abort.abort(), 30);
        },
        async (client) => {
          const aborted = await client.send(request(), abort.signal);
          await serverSawClose;
          return aborted;
        },
      );
      expect(record).toMatchObject({ failure: { kind: 'aborted' }, outputTokens: answering ? 1 : 0 });
    }
    const early = await withClient(
      () => {},
      (client) => client.send(request(), AbortSignal.abort()),
    );
    expect(early.failure?.kind).toBe('aborted');
  });

  it('never sends a request that was aborted while it waited for a socket', async () => {
    let seen = 0;
    const abort = new AbortController();
    await withClient(
      async (response) => {
        seen++;
        await sleep(60);
        startStream(response);
        response.end(tokenEvent('a') + doneEvent);
      },
      async (client) => {
        const first = client.send(request(0));
        const waiting = client.send(request(1), abort.signal);
        abort.abort();
        expect((await waiting).failure?.kind).toBe('aborted');
        expect((await first).failure).toBeNull();
        expect((await client.send(request(2))).failure).toBeNull();
      },
      { connectionsMax: 1 },
    );
    expect(seen).toBe(2);
  });
});
