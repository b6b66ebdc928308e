// A gateway with two processes for connections: its clients and operators see no difference.

import { request as httpRequest } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { resolveConfig } from '../../src/gateway/config/config.ts';
import { ConfigError, type Gateway, type GatewayOptions } from '../../src/gateway/index.ts';
import { getText } from '../fault/processes.ts';
import {
  endStream,
  type FakeEngine,
  type FakeRequest,
  openStream,
  replyJson,
  replyWhole,
  sendToken,
  streamTokens,
} from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, loads, post } from './harness.ts';
import { answerOther, bodyOf, pathOf, streamOf } from './other-apis.ts';
import { sendBytes } from './raw-request.ts';
import { tlsSettings } from './tls-files.ts';

const startMsMax = 60_000;
const keys = { open: 'open-secret-00000001', narrow: 'narrow-secret-000001' };
const apiKeys = [`open:${keys.open}`, { name: 'narrow', key: keys.narrow, inFlightMax: 1, models: ['fake'] }];
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const chat = { ...chatBody, stream: true };

/** A gateway whose threads know the model: they serve its requests by themselves. */
async function threaded(harness: Harness, options: GatewayOptions, headers = {}): Promise<Gateway> {
  const gateway = await harness.gateway({ threads: 2, tokenizer: 'builtin', trustTokenizer: true, ...options });
  await eventually(async () => {
    await post(gateway, '/v1/chat/completions', chat, headers);
    return (await counted(gateway, 'kvoyant_thread_requests_total{by="thread"}')) > 0;
  }, startMsMax);
  return gateway;
}

async function counted(gateway: Gateway, name: string, headers = {}): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`, { headers })).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

/** Requests wait until the test continues them. */
function hold(engine: FakeEngine): FakeRequest[] {
  const held: FakeRequest[] = [];
  engine.behaviour = (request) => {
    openStream(request);
    sendToken(request, 'a');
    held.push(request);
  };
  return held;
}

describe('two threads', () => {
  const harness = new Harness();
  let engines: FakeEngine[];
  let gateway: Gateway;
  const ask = (body: object = chat, key = keys.open) => post(gateway, '/v1/chat/completions', body, bearer(key));
  beforeAll(async () => {
    engines = await harness.engines(2);
    gateway = await threaded(
      harness,
      {
        workers: engines.map(({ url }) => url),
        apiKeys,
        corsOrigins: ['https://page.example.org'],
        logLevel: 'silent',
      },
      bearer(keys.open),
    );
  }, startMsMax);
  afterEach(async () => {
    await atRest(gateway, 20_000);
    for (const engine of engines) engine.behaviour = (request) => streamTokens(request, 3);
  });
  afterAll(async () => {
    await harness.end();
  });

  it('stream answers, book them by their tokens, and count them in one scrape', async () => {
    const before = await counted(gateway, 'kvoyant_requests_total{model="fake",status="200"}');
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask()));
    for (const { status, body, headers } of answers) {
      expect(status).toBe(200);
      expect(body.match(/"content":"t\d"/g)).toHaveLength(3);
      expect(body).toContain('[DONE]');
      const { decisions } = (await getJson(gateway, `/decisions/${headers['x-request-id'] as string}`)) as {
        decisions: { known: string; outputTokens: number; outcome: string; ttftMs: number; durationMs: number }[];
      };
      expect(decisions).toMatchObject([{ known: 'tokens', outputTokens: 3, outcome: 'done', status: 200 }]);
      const { ttftMs, durationMs } = decisions[0]!;
      expect(ttftMs).toBeGreaterThan(0);
      expect(durationMs).toBeGreaterThanOrEqual(ttftMs);
    }
    await eventually(
      async () => (await counted(gateway, 'kvoyant_requests_total{model="fake",status="200"}')) === before + 20,
    );
    expect(await counted(gateway, 'kvoyant_threads')).toBe(2);
  });

  it('relay an answer in one piece, and learn from its usage', async () => {
    for (const engine of engines) engine.behaviour = (request) => replyWhole(request, 'hello');
    const { status, body, headers } = await ask(chatBody);
    expect([status, JSON.parse(body).choices[0].message.content]).toEqual([200, 'hello']);
    // The owner learns of the end a little after the client.
    await eventually(async () => {
      const { decisions } = (await getJson(gateway, `/decisions/${headers['x-request-id'] as string}`)) as {
        decisions: { actualPromptTokens: number | null }[];
      };
      return (decisions[0]!.actualPromptTokens ?? 0) > 0;
    });
  });

  it('show the load of a stream while it runs, wherever it is relayed', async () => {
    const held = engines.flatMap(hold);
    const all = engines.map(hold);
    const running = Array.from({ length: 4 }, () => ask());
    await eventually(() => all.flat().length === 4, 20_000);
    expect(held).toEqual([]);
    await eventually(async () => {
      const { workers } = await loads(gateway);
      return workers.reduce((sum, { runningRequests }) => sum + runningRequests, 0) === 4;
    });
    for (const request of all.flat()) endStream(request, 5, 1);
    for (const { body } of await Promise.all(running)) expect(body).toContain('[DONE]');
  });

  it('try another engine before the first token', async () => {
    let failing = 1;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        if (failing-- > 0) replyJson(request.response, 500, {});
        else streamTokens(request, 2);
      };
    }
    const { status, body, headers } = await ask();
    expect([status, body.includes('[DONE]')]).toEqual([200, true]);
    const read = async (): Promise<[number, string][]> => {
      const { decisions } = (await getJson(gateway, `/decisions/${headers['x-request-id'] as string}`)) as {
        decisions: { attempt: number; outcome: string }[];
      };
      return decisions.map(({ attempt, outcome }) => [attempt, outcome]);
    };
    // The thread tells the end after it has written the answer.
    await eventually(async () => (await read())[0]![1] !== null);
    expect(await read()).toEqual([
      [2, 'done'],
      [1, 'failed'],
    ]);
  });

  it('pass on the answer of a full engine if all are full', async () => {
    for (const engine of engines) {
      engine.behaviour = ({ response }) => replyJson(response, 429, { error: { message: 'I am full', code: 'full' } });
    }
    const { status, body } = await ask();
    expect([status, body.includes('I am full')]).toEqual([429, true]);
    // Until they are first choices again.
    for (const engine of engines) engine.behaviour = (request) => streamTokens(request, 1);
    await eventually(async () => (await ask()).status === 200, 20_000);
  });

  it('end a stream whose engine dies with an error event', async () => {
    for (const engine of engines) {
      engine.behaviour = (request) => {
        openStream(request);
        sendToken(request, 'a');
        setTimeout(() => request.socket.resetAndDestroy(), 50);
      };
    }
    const { status, body } = await ask();
    expect([status, body.includes('upstream_failed')]).toEqual([200, true]);
    for (const engine of engines) engine.behaviour = (request) => streamTokens(request, 1);
    await eventually(async () => (await ask()).status === 200, 20_000);
  });

  it('free the engine when a client leaves', async () => {
    const held = engines.map(hold);
    const aborted = (): number => engines.reduce((sum, engine) => sum + engine.aborted, 0);
    const before = aborted();
    const headers = { 'content-type': 'application/json', ...bearer(keys.open) };
    const request = httpRequest(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, agent: false });
    request.on('error', () => undefined).end(JSON.stringify(chat));
    await eventually(() => held.flat().length === 1, 20_000);
    request.destroy();
    await eventually(() => aborted() === before + 1, 20_000);
    await eventually(async () => (await counted(gateway, 'kvoyant_aborted_requests_total')) > 0);
    expect(aborted()).toBe(before + 1);
  });

  it('check keys, and their limits over all threads', async () => {
    expect((await post(gateway, '/v1/chat/completions', chat)).status).toBe(401);
    const other = await ask({ ...chat, model: 'other' }, keys.narrow);
    expect(other.status).toBe(404);
    const held = engines.map(hold);
    const first = ask(chat, keys.narrow);
    await eventually(() => held.flat().length === 1, 20_000);
    const limited = await counted(gateway, 'kvoyant_limited_total{limit="inFlightPerKeyMax"}');
    // Whichever thread has the connection.
    for (let i = 0; i < 4; i++) {
      const { status, headers } = await ask(chat, keys.narrow);
      expect([status, headers['retry-after']]).toEqual([429, '1']);
    }
    await eventually(
      async () => (await counted(gateway, 'kvoyant_limited_total{limit="inFlightPerKeyMax"}')) === limited + 4,
    );
    endStream(held.flat()[0]!, 5, 1);
    expect((await first).status).toBe(200);
    for (const engine of engines) engine.behaviour = (request) => streamTokens(request, 1);
    expect((await ask(chat, keys.narrow)).status).toBe(200);
  });

  it('answer errors of the request as one thread does', async () => {
    const cases: readonly [object | string, number, string][] = [
      ['{"model":', 400, 'invalid_json'],
      [{ model: 'fake' }, 400, 'invalid_value'],
      [{ ...chat, model: 'unknown' }, 404, 'model_not_found'],
    ];
    for (const [body, status, code] of cases) {
      const answer = await post(gateway, '/v1/chat/completions', body, bearer(keys.open));
      expect([answer.status, typeof JSON.parse(answer.body).error.code, code]).toEqual([status, 'string', code]);
    }
  });

  it('pass responses and messages on: booked, events untouched, a response goes on where it is held', async () => {
    const counts = { promptTokens: 40, cachedTokens: 0, outputTokens: 3 };
    for (const api of ['responses', 'messages'] as const) {
      for (const engine of engines) engine.behaviour = (request) => answerOther(api, request, counts, 'resp_t');
      const body = bodyOf(api, 'hello', { stream: true });
      const answer = await post(gateway, pathOf[api], body, bearer(keys.open));
      expect([answer.status, answer.body]).toEqual([200, streamOf(api, counts, 'resp_t')]);
      const id = answer.headers['x-request-id'] as string;
      await eventually(async () => {
        const told = (await getJson(gateway, `/decisions/${id}`)) as { decisions: { outcome: string | null }[] };
        return told.decisions[0]!.outcome !== null;
      });
      expect(await getJson(gateway, `/decisions/${id}`)).toMatchObject({
        decisions: [{ known: 'tokens', outputTokens: 3, outcome: 'done', actualPromptTokens: 40 }],
      });
    }
    for (const engine of engines) engine.behaviour = (request) => answerOther('responses', request, counts, 'resp_u');
    const next = bodyOf('responses', 'more', { previous_response_id: 'resp_t' });
    const before = engines.map(({ requests }) => requests.length);
    for (let i = 0; i < 4; i++) {
      expect((await post(gateway, '/v1/responses', next, bearer(keys.open))).status).toBe(200);
    }
    expect(engines.map(({ requests }, i) => requests.length - before[i]!).sort()).toEqual([0, 4]);
  });

  it('pass everything else on: models, operators, other routes, pages of other origins', async () => {
    const headers = bearer(keys.open);
    const models = await fetch(`${gateway.url}/v1/models`, { headers });
    expect(((await models.json()) as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(['fake']);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
    expect((await fetch(`${gateway.url}/metrics`)).status).toBe(403);
    expect((await fetch(`${gateway.url}/nothing`)).status).toBe(404);
    for (const engine of engines) engine.behaviour = ({ response, body }) => replyJson(response, 200, { got: body });
    const embeddings = await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x'.repeat(200_000) }, headers);
    expect(embeddings.body).toContain('x'.repeat(200_000));
    const responses = await post(gateway, '/v1/responses', { model: 'fake', input: 'y' }, headers);
    expect(responses.status).toBe(200);
    // The engine truncates: only the gateway itself guesses lengths.
    const cut = await post(gateway, '/v1/chat/completions', { ...chatBody, truncate_prompt_tokens: 4 }, headers);
    expect(cut.status).toBe(200);
    const preflight = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example.org', 'access-control-request-method': 'POST' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([
      204,
      'https://page.example.org',
    ]);
  });

  it('pass on refusals whole, although they come before the body', async () => {
    const body = JSON.stringify(chat);
    const head = `host: x\r\nconnection: close\r\nauthorization: Bearer ${keys.open}\r\ncontent-length: ${body.length}`;
    const asked = Array.from({ length: 60 }, (_, at) => (at % 2 === 0 ? '/v1/nope' : '/v1/load_lora_adapter'));
    const statuses: number[] = [];
    for (const path of asked) {
      const answer = await sendBytes(gateway, `POST ${path} HTTP/1.1\r\n${head}\r\n\r\n${body}`);
      statuses.push(Number(answer.slice(9, 12)));
    }
    expect(statuses).toEqual(asked.map((path) => (path === '/v1/nope' ? 404 : 403)));
  });

  it('serve clients of HTTP/1.0, and bodies with trailers', async () => {
    const body = JSON.stringify(chat);
    const head = (path: string, version: string) =>
      `POST ${path} HTTP/${version}\r\ncontent-type: application/json\r\nauthorization: Bearer ${keys.open}\r\n`;
    const plain = (path: string) => `${head(path, '1.0')}content-length: ${body.length}\r\n\r\n${body}`;
    const chunked = (text: string) =>
      `${head('/v1/chat/completions', '1.1')}host: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n` +
      `trailer: x-y\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\nx-y: z\r\n\r\n`;
    // The owner serves what is truncated.
    const truncated = JSON.stringify({ ...chat, truncate_prompt_tokens: 5 });
    for (const bytes of [plain('/v1/chat/completions'), plain('/v1/messages'), chunked(body), chunked(truncated)]) {
      expect(await sendBytes(gateway, bytes)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  it('take a body only after 100-continue', async () => {
    const headers = { 'content-type': 'application/json', expect: '100-continue', ...bearer(keys.open) };
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, agent: false });
      request.on('continue', () => request.end(JSON.stringify(chat))).on('error', reject);
      request.on('response', (response) => response.resume().on('end', () => resolve(response.statusCode!)));
      request.flushHeaders();
    });
    expect(status).toBe(200);
  });
});

describe('with limits', () => {
  const harness = new Harness();
  afterAll(async () => {
    await harness.end();
  });

  it('queue, refuse and forget requests; reload; end in order', async () => {
    const engine = await harness.engine();
    const worker = `${engine.url},running-max=1`;
    const options = { workers: [worker], queuedRequestsMax: 1, shutdownGraceMs: 20_000 };
    const gateway = await threaded(harness, options);
    const ask = () => post(gateway, '/v1/chat/completions', chat);
    const held = hold(engine);
    const first = ask();
    await eventually(() => held.length === 1, 20_000);
    const waiting = async (): Promise<number> =>
      ((await getJson(gateway, '/loads')) as { queues: { waiting: number }[] }).queues[0]!.waiting;
    const leaver = httpRequest(`${gateway.url}/v1/chat/completions`, { method: 'POST', agent: false });
    leaver.on('error', () => undefined).end(JSON.stringify(chat));
    await eventually(async () => (await waiting()) === 1, 20_000);
    const full = await ask();
    expect([full.status, JSON.parse(full.body).error.code]).toEqual([429, 'queue_full']);
    leaver.destroy();
    await eventually(async () => (await waiting()) === 0, 20_000);
    const second = ask();
    await eventually(async () => (await waiting()) === 1, 20_000);
    endStream(held[0]!, 5, 1);
    expect((await first).body).toContain('[DONE]');
    await eventually(() => held.length === 2, 20_000);
    // A reload reaches the threads: without the right key they refuse by themselves.
    const apiKeys = [`open:${keys.open}`];
    await gateway.reload(() => ({
      ...options,
      port: 0,
      threads: 2,
      tokenizer: 'builtin',
      trustTokenizer: true,
      apiKeys,
    }));
    await eventually(async () => (await post(gateway, '/v1/chat/completions', '{')).status === 401, 20_000);
    // The running stream may end; then the listener is gone.
    const closing = gateway.close();
    await eventually(async () => (await fetch(`${gateway.url}/health`).catch(() => null)) === null, 20_000);
    endStream(held[1]!, 5, 1);
    expect((await second).body).toContain('[DONE]');
    expect(await closing).toEqual({ brokenOffAnswers: 0 });
  });

  it('break off what does not end in time, with TLS too', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({
      ...{ workers: [engine.url], threads: 2, tokenizer: 'builtin', trustTokenizer: true },
      ...tlsSettings('first'),
      shutdownGraceMs: 300,
    });
    expect(await getText(`${gateway.url}/health`)).toBe('ok\n');
    const held = hold(engine);
    const { stream } = await import('../fault/fault-client.ts');
    const body = JSON.stringify({ model: 'fake', prompt: [1, 2, 3], stream: true });
    const running = stream(gateway.url, body);
    await eventually(() => held.length === 1, 20_000);
    expect(await gateway.close()).toEqual({ brokenOffAnswers: 1 });
    expect(await running).toMatchObject({ status: 200, tokens: 1, how: 'error' });
  });
});

describe('settings', () => {
  const faultOf = (options: GatewayOptions): string => {
    try {
      resolveConfig({ workers: ['http://127.0.0.1:1'], threads: 2, ...options });
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
    }
    return 'none';
  };

  it('that threads can not serve are refused at the start', () => {
    expect(faultOf({ tokenizer: 'builtin' })).toBe('none');
    expect(faultOf({ tokenizer: 'engine' })).toMatch(/needs a tokenizer/);
    expect(faultOf({ tokenizer: 'none' })).toMatch(/needs a tokenizer/);
    expect(faultOf({ tokenizer: 'builtin', record: '/tmp/x' })).toMatch(/record/);
  });
});
