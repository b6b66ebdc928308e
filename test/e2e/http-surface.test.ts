import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeRequest, openStream, replyJson, replyWhole, sendToken, streamTokens } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

/** Sends raw bytes; resolves with the response once the gateway closes the connection, or `until` matches. */
function exchangeRaw(gateway: Gateway, bytes: string, until?: RegExp, then?: string): Promise<string> {
  const { port, hostname } = new URL(gateway.url);
  return new Promise((resolve, reject) => {
    let received = '';
    let sentRest = then === undefined;
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (until === undefined || !until.test(received)) return;
      if (sentRest) socket.end();
      else {
        sentRest = true;
        socket.write(then!);
      }
    });
  });
}

async function errorOf(gateway: Gateway, body: unknown, headers = {}): Promise<{ status: number; error: unknown }> {
  const { status, body: text } = await post(gateway, '/v1/chat/completions', body, headers);
  return { status, error: (JSON.parse(text) as { error: unknown }).error };
}

describe('invalid requests', () => {
  it('get 400 with the name of the field', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const { messages } = chatBody;
    for (const [body, headers, param] of [
      ['{"model":', {}, null],
      ['[]', {}, null],
      [{ model: 'fake' }, {}, 'messages'],
      [{ model: 'fake', messages: [{ content: 'x' }] }, {}, 'messages[0]'],
      [{ model: 7, messages }, {}, 'model'],
      [{ model: 'fake', messages, n: 0 }, {}, 'n'],
      [{ model: 'fake', messages, stream: 'yes' }, {}, 'stream'],
      [{ model: 'fake', messages, max_tokens: -1 }, {}, 'max_tokens'],
      [{ model: 'fake', messages }, { 'x-kvoyant-overlap-weight': '-1' }, 'x-kvoyant-overlap-weight'],
      [{ model: 'fake', messages }, { 'x-kvoyant-temperature': 'hot' }, 'x-kvoyant-temperature'],
    ] as const) {
      const { status, error } = await errorOf(gateway, body, headers);
      expect([status, error]).toEqual([400, expect.objectContaining({ type: 'invalid_request_error', param })]);
    }
    expect(engine.requests).toEqual([]);
  });

  it('get 404 for an unknown model and an unknown path, 405 for a wrong method', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    expect(await errorOf(gateway, { ...chatBody, model: 'other' })).toMatchObject({
      status: 404,
      error: { code: 'model_not_found', param: 'model' },
    });
    const nowhere = await fetch(`${gateway.url}/nowhere`);
    expect([nowhere.status, await nowhere.json()]).toMatchObject([404, { error: { code: 'not_found' } }]);
    const wrongMethod = await fetch(`${gateway.url}/v1/completions`);
    expect([wrongMethod.status, await wrongMethod.json()]).toMatchObject([
      405,
      { error: { code: 'method_not_allowed' } },
    ]);
  });

  it('get 413 if their body is too large, announced or not', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], bodyBytesMax: 2048 });
    const { status, error } = await errorOf(gateway, { ...chatBody, filler: 'x'.repeat(500_000) });
    expect([status, error]).toMatchObject([413, { code: 'body_too_large' }]);
    const chunked = await exchangeRaw(
      gateway,
      `POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${`400\r\n${'x'.repeat(1024)}\r\n`.repeat(4)}0\r\n\r\n`,
    );
    expect(chunked).toMatch(/^HTTP\/1.1 413 /);
  });
});

it('names the expectation that it knows, in the form of the API', async () => {
  const gateway = await harness.gateway({ workers: [(await harness.engine()).url] });
  for (const [path, form] of [
    ['/v1/completions', '{"error":{'],
    ['/v1/messages', '{"type":"error","error":{'],
  ]) {
    const head = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: a-miracle\r\n`;
    const answer = await exchangeRaw(gateway, `${head}connection: close\r\n\r\n{}`);
    expect(answer).toMatch(/^HTTP\/1\.1 417 /);
    expect(answer).toContain(`\r\n\r\n${form}`);
    expect(answer).toContain('expect may only be 100-continue');
  }
});

describe('Expect: 100-continue', () => {
  it('is answered before the body is sent', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => replyWhole(request, 'fine');
    const gateway = await harness.gateway({ workers: [engine.url] });
    const body = JSON.stringify(chatBody);
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\nexpect: 100-continue\r\n\r\n`;
    const received = await exchangeRaw(gateway, head, /100 Continue\r\n\r\n$|fine/, body);
    expect(received).toMatch(/^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/);
    expect(engine.requests[0]!.headers.expect).toBeUndefined();
  });

  it('is refused without asking for a body that is too large', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], bodyBytesMax: 2048 });
    const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\nexpect: 100-continue\r\n\r\n';
    const received = await exchangeRaw(gateway, head, /\}\}$/);
    expect(received).toMatch(/^HTTP\/1.1 413 /);
    expect(received).toContain('connection: close');
  });

  it('is refused without asking for the body of a request without a key', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], apiKeys: ['a:a-secret-000000000000001'] });
    const head = 'POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n';
    expect(await exchangeRaw(gateway, head, /\}\}$/)).toMatch(/^HTTP\/1.1 401 /);
  });
});

describe("the gateway's own routes", () => {
  it('keep the connection open', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
    const received = await exchangeRaw(gateway, get('/health'), /ok\n$|"ready":true/, get('/ready'));
    expect(received.match(/HTTP\/1.1 200/g)).toHaveLength(2);
    expect(received).not.toMatch(/connection: close/i);
  });

  it('list the models of all pools, and route each to its workers', async () => {
    const a = await harness.engine({ models: ['a', 'shared'] });
    const b = await harness.engine({ models: ['b'] });
    const c = await harness.engine({ models: ['shared'] });
    const gateway = await harness.gateway({ workers: [a.url, b.url, c.url] }, 3, ['a', 'b', 'shared']);
    const { data } = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id).sort()).toEqual(['a', 'b', 'shared']);
    for (let i = 0; i < 4; i++) {
      expect((await post(gateway, '/v1/completions', { model: 'a', prompt: `${i}` })).status).toBe(200);
      expect((await post(gateway, '/v1/completions', { model: 'b', prompt: `${i}` })).status).toBe(200);
      expect((await post(gateway, '/v1/completions', { model: 'shared', prompt: `${i}` })).status).toBe(200);
    }
    expect(b.requests).toHaveLength(4);
    expect(a.requests.length + c.requests.length).toBe(8);
    expect(a.requests.filter(({ body }) => body.includes('"a"'))).toHaveLength(4);
    expect(gateway.router('a')).toBe(gateway.router('shared'));
    expect(gateway.router('a')).not.toBe(gateway.router('b'));
    const unnamed = await post(gateway, '/v1/completions', { prompt: 'x' });
    expect(JSON.parse(unnamed.body)).toMatchObject({ error: { code: 'missing_model', param: 'model' } });
  });

  it('describe each listed model at its own route, also with slashes in its name', async () => {
    const engine = await harness.engine({ models: ['org/name', 'plain'] });
    const gateway = await harness.gateway({ workers: [engine.url] }, 1, ['plain']);
    for (const path of ['org/name', 'org%2Fname', 'org%2fname', 'plain']) {
      const answer = await fetch(`${gateway.url}/v1/models/${path}`);
      expect([answer.status, await answer.json()]).toMatchObject([200, { id: path.replace(/%2f/i, '/') }]);
    }
    const unknown = await fetch(`${gateway.url}/v1/models/org`);
    expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { code: 'model_not_found' } }]);
  });

  it("show block size and capacity from the engine's metrics", async () => {
    const metrics = 'vllm:cache_config_info{block_size="32",cache_dtype="auto",engine="0",num_gpu_blocks="200"} 1.0\n';
    const engine = await harness.engine({ metrics });
    const gateway = await harness.gateway({ workers: [engine.url] });
    expect(gateway.router('fake')!.loads()[0]).toMatchObject({ blockSize: 32, capacityBlocks: 199 });
    const set = await harness.gateway({ workers: [`${engine.url},blocks=50,block-size=8`] });
    expect(set.router('fake')!.loads()[0]).toMatchObject({ blockSize: 8, capacityBlocks: 50 });
  });

  it('show loads, decisions and metrics', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true }, { 'x-request-id': 'seen/1' });
    expect(await getJson(gateway, '/loads')).toMatchObject({
      workers: [
        expect.objectContaining({
          id: `${engine.url}#0`,
          url: engine.url,
          rank: 0,
          model: 'fake',
          incarnation: expect.any(Number),
          state: 'ready',
          activeBlocks: 0,
          activePrefillTokens: 0,
          runningRequests: 0,
          othersBlocks: 0,
          commonBlocks: 0,
          othersPrefillTokens: 0,
          othersRequests: 0,
        }),
      ],
    });
    expect(await getJson(gateway, '/decisions/seen%2F1')).toMatchObject({
      decisions: [
        {
          requestId: 'seen/1',
          worker: `${engine.url}#0`,
          policy: 'foresee',
          reason: 'only',
          outcome: 'done',
          outputTokens: 3,
          actualCachedTokens: 0,
          candidates: [{ worker: `${engine.url}#0`, cost: expect.any(Number), newBlocks: expect.any(Number) }],
        },
      ],
    });
    expect((await fetch(`${gateway.adminUrl}/decisions/unknown`)).status).toBe(404);
    expect((await fetch(`${gateway.adminUrl}/decisions/%ff`)).status).toBe(400);
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    for (const line of [
      'kvoyant_requests_total{model="fake",status="200"} 1',
      'kvoyant_decisions_total{policy="foresee",reason="only"} 1',
      `kvoyant_active_blocks{worker="${engine.url}#0"} 0`,
      'kvoyant_output_tokens_total 3',
      'kvoyant_time_to_first_token_seconds_count 1',
      'kvoyant_inter_token_latency_seconds_count 2',
      'kvoyant_inter_token_latency_seconds_bucket{le="+Inf"} 2',
      `kvoyant_engine_ready{engine="${engine.url}"} 1`,
    ]) {
      expect(metrics.split('\n')).toContain(line);
    }
  });

  it('never make a label of a model that a client invented', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (let i = 0; i < 3; i++) await post(gateway, '/v1/completions', { model: `made-up-${i}`, prompt: 'x' });
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).not.toContain('made-up');
    expect(metrics).toContain('kvoyant_requests_total{model="(unknown)",status="404"} 3');
  });
});

describe('other routes of the engines', () => {
  it('pass through to the ready engine with the fewest requests', async () => {
    const engines = await harness.engines(2);
    for (const engine of engines) {
      engine.behaviour = async ({ response, path, body }) => {
        // None ends before all are placed.
        await eventually(() => engines.reduce((count, { requests }) => count + requests.length, 0) >= 10);
        replyJson(response, 201, { path, body });
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => post(gateway, '/v1/embeddings?x=1', { model: 'fake', input: 'x' })),
    );
    for (const { status, body } of answers) {
      expect(status).toBe(201);
      expect(JSON.parse(body)).toEqual({ path: '/v1/embeddings?x=1', body: '{"model":"fake","input":"x"}' });
    }
    expect(engines.map(({ requests }) => requests.length)).toEqual([5, 5]);
    const unknown = await post(gateway, '/v1/embeddings', { model: 'other', input: 'x' });
    expect(unknown.status).toBe(404);
  });
});

describe('another route while one engine is stalled', () => {
  it('uses the other engine although it has more requests', async () => {
    const [stalled, busy] = await harness.engines(2);
    const gateway = await harness.gateway({ workers: [stalled!.url, busy!.url], policy: 'round-robin' });
    const streaming: FakeRequest[] = [];
    for (const engine of [stalled!, busy!]) {
      engine.behaviour = (request) => {
        if (request.path === '/v1/embeddings') return replyJson(request.response, 200, {});
        openStream(request);
        sendToken(request, 'a');
        if (engine === stalled) return streaming.push(request);
        const beat = setInterval(() => sendToken(request, 'a'), 100);
        request.response.on('close', () => clearInterval(beat));
        return streaming.push(request);
      };
    }
    const answers = Array.from({ length: 2 }, () =>
      post(gateway, '/v1/chat/completions', { ...chatBody, stream: true }),
    );
    const states = async (): Promise<string[]> => {
      const { workers } = (await getJson(gateway, '/workers')) as { workers: { state: string }[] };
      return workers.map(({ state }) => state);
    };
    await eventually(async () => (await states()).includes('stalled'), 10_000);
    for (let i = 0; i < 4; i++) await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' });
    expect(stalled!.requests.filter(({ path }) => path === '/v1/embeddings')).toHaveLength(0);
    for (const request of streaming) {
      sendToken(request, 'b', 'stop');
      request.response.end('data: [DONE]\n\n');
    }
    for (const { body } of await Promise.all(answers)) expect(body).toContain('[DONE]');
  });
});

describe('close', () => {
  it('lets a running stream end, and breaks off one that does not end', async () => {
    const engine = await harness.engine();
    let finish = (): void => undefined;
    engine.behaviour = async (request) => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      streamTokens(request, 2);
    };
    const gateway = await harness.gateway({ workers: [engine.url], shutdownGraceMs: 5000 });
    const answer = post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    await eventually(() => engine.requests.length === 1);
    const closed = gateway.close();
    finish();
    expect((await answer).body).toContain('[DONE]');
    expect(await closed).toEqual({ brokenOffAnswers: 0 });

    const impatient = await harness.gateway({ workers: [engine.url], shutdownGraceMs: 50 });
    const cut = post(impatient, '/v1/chat/completions', { ...chatBody, stream: true });
    await eventually(() => engine.requests.length === 2);
    expect(await impatient.close()).toEqual({ brokenOffAnswers: 1 });
    const { status, body } = await cut;
    expect([status, JSON.parse(body)]).toMatchObject([503, { error: { code: 'shutting_down' } }]);
    expect(impatient.router('fake')!.liveBookings).toBe(0);
  });
});
