// Routes whose requests are measured, not tokenized: embeddings, scores, audio. Booked by their length, placed by the
// policy, passed on unchanged.

import OpenAI, { toFile } from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type FakeEngine, type FakeRequest, replyJson } from './fake-engine.ts';
import { atRest, eventually, getJson, Harness, loads, post } from './harness.ts';

interface Decided {
  readonly worker: string;
  readonly attempt: number;
  readonly known: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly outcome: string | null;
  readonly status: number | null;
  readonly outputTokens: number | null;
  readonly actualPromptTokens: number | null;
}

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
// Also asserts that no load is left on any worker.
afterEach(() => harness.end());

async function started(
  count: number,
  options: GatewayOptions = {},
): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
  const engines = await harness.engines(count);
  return { gateway: await harness.gateway({ workers: engines.map(({ url }) => url), ...options }), engines };
}

async function decisions(gateway: Gateway): Promise<readonly Decided[]> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Decided[] }).decisions;
}

const embeddings = { object: 'list', data: [], model: 'fake', usage: { prompt_tokens: 100, total_tokens: 100 } };
const answerWith = (value: object) => (request: FakeRequest) => replyJson(request.response, 200, value);

const bodies: readonly (readonly [string, object])[] = [
  ['/v1/embeddings', { input: 'x'.repeat(1600) }],
  ['/v2/embed', { texts: ['x'.repeat(800), 'y'.repeat(800)] }],
  ['/score', { text_1: 'x'.repeat(400), text_2: ['y'.repeat(400), 'z'.repeat(400)] }],
  ['/v1/score', { queries: 'x'.repeat(1600), items: ['y'] }],
  ['/rerank', { query: 'x'.repeat(400), documents: ['y'.repeat(400), 'z'.repeat(400)] }],
  ['/v1/rerank', { query: 'x'.repeat(400), documents: ['y'.repeat(400), 'z'.repeat(400)] }],
  ['/v2/rerank', { query: 'x'.repeat(400), documents: ['y'.repeat(400), 'z'.repeat(400)] }],
  ['/classify', { input: 'x'.repeat(1600) }],
  ['/v1/classify', { input: 'x'.repeat(1600) }],
  ['/pooling', { input: [Array.from({ length: 400 }, (_, i) => i)] }],
  ['/v1/pooling', { messages: [{ role: 'user', content: 'x'.repeat(1600) }] }],
  ['/v1/audio/speech', { input: 'x'.repeat(1600), voice: 'alloy' }],
];

describe('a request that is measured', () => {
  it.each(bodies)('%s is booked while it runs, placed by the policy, and passed on unchanged', async (path, more) => {
    const { gateway, engines } = await started(2);
    const waiting: FakeRequest[] = [];
    for (const engine of engines) engine.behaviour = (request) => waiting.push(request);
    const body = JSON.stringify({ model: 'fake', ...more });
    const answers = [post(gateway, path, body), post(gateway, path, body)];
    await eventually(() => waiting.length === 2);
    for (const load of (await loads(gateway)).workers) {
      expect(load.runningRequests).toBe(1);
      // 4 bytes a token: 400 tokens, in blocks of 16.
      expect(load.activePrefillTokens + load.activeBlocks * 16).toBeGreaterThanOrEqual(390);
      expect(load.activeBlocks).toBeLessThanOrEqual(27);
    }
    for (const request of waiting) {
      expect(request.body).toBe(body);
      expect(request.path).toBe(path);
      answerWith(embeddings)(request);
    }
    for (const answer of await Promise.all(answers)) expect(JSON.parse(answer.body)).toEqual(embeddings);
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({
      ...{ known: 'beginning', overlapTokens: 0, outcome: 'done', status: 200, actualPromptTokens: 100 },
    });
  });

  it('is tried at another engine after a 500, and after a connection that breaks', async () => {
    const { gateway, engines } = await started(3);
    let calls = 0;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        calls += 1;
        if (calls === 1) replyJson(request.response, 500, {});
        else if (calls === 2) request.socket.resetAndDestroy();
        else answerWith(embeddings)(request);
      };
    }
    expect((await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' })).status).toBe(200);
    const [last, ...before] = (await decisions(gateway)).map(({ outcome }) => outcome);
    expect([last, new Set(before), calls]).toEqual(['done', new Set(['failed']), 3]);
    await atRest(gateway);
  });

  it('is released when its client leaves', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = () => undefined;
    const leaving = new AbortController();
    const gone = fetch(`${gateway.url}/v1/embeddings`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"fake","input":"x"}',
      signal: leaving.signal,
    });
    await eventually(() => engines[0]!.requests.length === 1);
    leaving.abort();
    await expect(gone).rejects.toThrow();
    await eventually(() => engines[0]!.aborted === 1);
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'aborted' });
  });

  it('teaches the length of a token in bytes', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = answerWith(embeddings);
    const body = { model: 'fake', input: 'x'.repeat(1000) };
    for (let i = 0; i < 60; i++) await post(gateway, '/v1/embeddings', body);
    const [last] = await decisions(gateway);
    expect(last!.isl).toBeLessThan(115);
  });

  it('waits in the queue while every worker is full', async () => {
    const engine = await harness.engine();
    engine.behaviour = () => undefined;
    const gateway = await harness.gateway({ workers: [{ url: engine.url, runningRequestsMax: 1 }], queue: true });
    const answers = [1, 2].map(() => post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' }));
    for (const index of [0, 1]) {
      await eventually(() => engine.requests.length > index);
      expect(engine.requests).toHaveLength(index + 1);
      answerWith(embeddings)(engine.requests[index]!);
    }
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
  });
});

describe('a route that computes nothing worth booking', () => {
  it.each(['/tokenize', '/v1/tokenize', '/detokenize', '/v1/detokenize', '/v1/messages/count_tokens'])(
    '%s goes to the least busy engine, unbooked',
    async (path) => {
      const { gateway, engines } = await started(1);
      const body = { model: 'fake', prompt: 'x' };
      engines[0]!.tokenize = (_, response) => replyJson(response, 200, { tokens: [1] });
      engines[0]!.behaviour = answerWith({ tokens: [1] });
      expect((await post(gateway, path, body)).body).toBe('{"tokens":[1]}');
      expect(await decisions(gateway)).toEqual([]);
    },
  );
});

describe('the official client', () => {
  const clientOf = (gateway: Gateway): OpenAI =>
    new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0 });

  it('has a file transcribed and translated: the form reaches the engine byte for byte, booked by its length', async () => {
    const { gateway, engines } = await started(1);
    const waiting: FakeRequest[] = [];
    engines[0]!.behaviour = (request) => waiting.push(request);
    const audio = Buffer.alloc(64_000, 'wave');
    const client = clientOf(gateway);
    for (const task of ['transcriptions', 'translations'] as const) {
      const file = await toFile(audio, 'speech.wav', { type: 'audio/wav' });
      const answer = client.audio[task].create({ file, model: 'fake', prompt: 'names' });
      await eventually(() => waiting.length === 1);
      const [request] = waiting.splice(0);
      expect(request!.path).toBe(`/v1/audio/${task}`);
      expect(request!.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
      expect(Number(request!.headers['content-length'])).toBe(Buffer.byteLength(request!.body));
      expect(request!.body).toContain(audio.toString('latin1'));
      const [load] = (await loads(gateway)).workers;
      expect(load!.activeBlocks).toBeGreaterThanOrEqual(Math.floor(64_000 / 320 / 16));
      replyJson(request!.response, 200, { text: 'hello', usage: { type: 'duration', seconds: 4 } });
      expect(await answer).toMatchObject({ text: 'hello' });
    }
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'done', actualPromptTokens: null });
  });

  it('gets speech as it is made, and the events of a transcription untouched', async () => {
    const { gateway, engines } = await started(1);
    const client = clientOf(gateway);
    const sound = Buffer.from([0xff, 0xfb, 0x00, 0x0a, 0x0a, 0x00]);
    engines[0]!.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-type': 'audio/mpeg' });
      response.end(sound);
    };
    const speech = await client.audio.speech.create({ model: 'fake', input: 'hello', voice: 'alloy' });
    expect(Buffer.from(await speech.arrayBuffer())).toEqual(sound);
    const events = [
      { type: 'transcript.text.delta', delta: 'hel' },
      { type: 'transcript.text.delta', delta: 'lo' },
      { type: 'transcript.text.done', text: 'hello' },
    ];
    engines[0]!.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
      response.end('data: [DONE]\n\n');
    };
    const file = await toFile(Buffer.alloc(100), 'speech.wav');
    const got: object[] = [];
    for await (const event of await client.audio.transcriptions.create({ file, model: 'fake', stream: true })) {
      got.push(event);
    }
    expect(got).toEqual(events);
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'done', outputTokens: 3 });
  });

  it('gets embeddings', async () => {
    const { gateway, engines } = await started(1);
    const data = [{ object: 'embedding', index: 0, embedding: [0.5, -1] }];
    engines[0]!.behaviour = answerWith({ ...embeddings, data });
    const answer = await clientOf(gateway).embeddings.create({ model: 'fake', input: 'x', encoding_format: 'float' });
    expect(answer.data[0]!.embedding).toEqual([0.5, -1]);
  });
});

describe('an odd request', () => {
  const form = (boundary: string, body: string, contentType = `multipart/form-data; boundary=${boundary}`) => ({
    headers: { 'content-type': contentType },
    body,
  });
  const part = (head: string, content: string): string => `Content-Disposition: form-data; ${head}\r\n\r\n${content}`;

  it.each([
    ['a boundary of 100,000 characters', form('b'.repeat(8000), `--${'b'.repeat(8000)}--`)],
    ['no boundary', form('x', '--x--', 'multipart/form-data')],
    ['two boundaries', form('x', '--x--', 'multipart/form-data; boundary=x; boundary=y')],
    ['a form that never ends', form('x', `--x\r\n${part('name="model"', 'fake')}`)],
    ['100,000 parts', form('x', `${`--x\r\n${part('name="a"', '')}\r\n`.repeat(100_000)}--x--`)],
    ['a part with long headers', form('x', `--x\r\n${part(`name="${'a'.repeat(100_000)}"`, '')}\r\n--x--`)],
    [
      'the model twice',
      form('x', `--x\r\n${part('name="model"', 'fake')}\r\n--x\r\n${part('name="model"', 'b')}\r\n--x--`),
    ],
    ['JSON in place of a form', { headers: {}, body: '{"model":"fake"}' }],
    ['a megabyte of boundaries', form('x', '\r\n--x'.repeat(200_000))],
  ])('%s is refused at once, and reaches no engine', async (_, { headers, body }) => {
    const { gateway, engines } = await started(1);
    const answer = await post(gateway, '/v1/audio/transcriptions', body, headers);
    expect([400, 431]).toContain(answer.status);
    expect(engines[0]!.requests).toEqual([]);
    await atRest(gateway);
  });

  it.each([
    ['numbers', JSON.stringify({ model: 'fake', input: new Array(200_000).fill(7) })],
    ['nested lists', `{"model":"fake","input":${'['.repeat(3000)}"x"${']'.repeat(3000)}}`],
    ['many short texts', JSON.stringify({ model: 'fake', input: new Array(100_000).fill('a') })],
    ['nothing', '{"model":"fake"}'],
  ])('%s to embed are measured and passed on', async (_, body) => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = answerWith(embeddings);
    expect((await post(gateway, '/v1/embeddings', body)).status).toBe(200);
    expect(engines[0]!.requests[0]!.body).toBe(body);
    await atRest(gateway);
  });

  it('for an unknown model, or without one among several, is refused', async () => {
    const [one, other] = [await harness.engine({ models: ['fake'] }), await harness.engine({ models: ['other'] })];
    other.behaviour = answerWith(embeddings);
    const gateway = await harness.gateway({ workers: [one.url, other.url] }, 2, ['fake', 'other']);
    expect((await post(gateway, '/rerank', { model: 'none', query: 'a', documents: ['b'] })).status).toBe(404);
    expect((await post(gateway, '/rerank', { query: 'a', documents: ['b'] })).status).toBe(400);
    expect((await post(gateway, '/rerank', { model: 'other', query: 'a', documents: ['b'] })).status).toBe(200);
    expect([one.requests.length, other.requests.length]).toEqual([0, 1]);
  });
});
