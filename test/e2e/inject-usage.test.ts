import OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { type FakeRequest, openStream, replyJson, resetAfter, sendToken } from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';

const usage = {
  prompt_tokens: 14,
  total_tokens: 16,
  completion_tokens: 2,
  prompt_tokens_details: { cached_tokens: 8 },
};
const usageEvent = `data: ${JSON.stringify({ choices: [], usage })}\n\n`;

interface DecisionJson {
  readonly actualPromptTokens: number | null;
  readonly actualCachedTokens: number | null;
  readonly outputTokens: number | null;
  readonly outcome: string | null;
}

async function decision(gateway: Gateway, requestId: string): Promise<DecisionJson> {
  let newest: DecisionJson | undefined;
  await eventually(async () => {
    const { decisions } = (await getJson(gateway, `/decisions/${requestId}`)) as { decisions: DecisionJson[] };
    newest = decisions[0];
    return newest !== undefined && newest.outcome !== null;
  });
  return newest!;
}

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

describe('usage of streams whose client does not ask for it', () => {
  /** A stream whose chunks are written one by one. */
  const streamOf =
    (...pieces: readonly string[]) =>
    async (request: FakeRequest): Promise<void> => {
      openStream(request);
      for (const piece of pieces) {
        request.response.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      request.response.end();
    };
  const token = (text: string, finish: string | null = null): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text }, finish_reason: finish }], usage: null })}\n\n`;
  const stream = '{"messages":[{"role":"user","content":"hi"}], "stream":true, "seed":12345678901234567890}';

  it('is requested in the bytes of the request, known to the gateway, and hidden from the client', async () => {
    const engine = await harness.engine();
    engine.behaviour = streamOf(
      token('a'),
      token('b', 'stop') + usageEvent.slice(0, 30),
      usageEvent.slice(30),
      'data: [DONE]\n\n',
    );
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage: true });
    const answer = await post(gateway, '/v1/chat/completions', stream, { 'x-request-id': 'r-1' });
    expect(engine.requests[0]!.body).toBe(`{"stream_options":{"include_usage":true},${stream.slice(1)}`);
    expect(Number(engine.requests[0]!.headers['content-length'])).toBe(engine.requests[0]!.body.length);
    expect(answer.body).toBe(`${token('a')}${token('b', 'stop')}data: [DONE]\n\n`);
    expect(await decision(gateway, 'r-1')).toMatchObject({
      actualPromptTokens: 14,
      actualCachedTokens: 8,
      outputTokens: 2,
    });
    const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
    expect(metrics).toMatch(/^kvoyant_actual_cached_tokens_total\S* 8$/m);
  });

  it('is not requested for clients that ask themselves, and for answers in one piece', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage: true });
    const asking = JSON.stringify({ ...chatBody, stream: true, stream_options: { include_usage: true } });
    expect((await post(gateway, '/v1/chat/completions', asking)).body).toContain('"choices":[],"usage":{');
    await post(gateway, '/v1/chat/completions', chatBody);
    expect(engine.requests.map(({ body }) => body)).toEqual([asking, JSON.stringify(chatBody)]);
  });

  it('is not requested by default', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(gateway, '/v1/chat/completions', { ...chatBody, stream: true });
    expect(engine.requests[0]!.body).not.toContain('stream_options');
    expect(answer.body).toContain('"choices":[]');
  });

  it('removes an announced length that is no longer right', async () => {
    const engine = await harness.engine();
    const whole = [token('a', 'stop'), usageEvent, 'data: [DONE]\n\n'].join('');
    engine.behaviour = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'content-length': whole.length });
      response.end(whole);
    };
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage: true });
    const answer = await post(gateway, '/v1/chat/completions', stream);
    expect(answer.headers['content-length']).toBe(undefined);
    expect(answer.body).toBe(`${token('a', 'stop')}data: [DONE]\n\n`);
  });

  it('passes on the rest of an event when the engine ends, is cut, or takes too long', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage: true, streamIdleMsMax: 300 });
    engine.behaviour = streamOf(token('a', 'stop'), 'data: {"choi');
    expect((await post(gateway, '/v1/chat/completions', stream)).body).toBe(`${token('a', 'stop')}data: {"choi`);
    engine.behaviour = async (request) => {
      openStream(request);
      sendToken(request, 'a');
      request.response.write('data: {"choi');
      await resetAfter(request, 20);
    };
    expect((await post(gateway, '/v1/chat/completions', stream)).body).toMatch(
      /\n\ndata: \{"choi\n\ndata: \{"error".*upstream_failed.*\n\n$/,
    );
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
      request.response.write('data: {"choi');
    };
    expect((await post(gateway, '/v1/chat/completions', stream)).body).toMatch(
      /\n\ndata: \{"choi\n\ndata: \{"error".*stream_idle.*\n\n$/,
    );
  });

  it('passes on the error of an engine that does not support it', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => replyJson(response, 400, { error: { message: 'unknown field', code: 400 } });
    const gateway = await harness.gateway({ workers: [engine.url], injectUsage: true });
    expect(await post(gateway, '/v1/chat/completions', stream)).toMatchObject({
      status: 400,
      body: '{"error":{"message":"unknown field","code":400}}',
    });
  });
});

describe('the official client over simulated engines', () => {
  const model = 'sim-usage';
  let fleet: SimWorkers;
  let gateway: Gateway;
  let client: OpenAI;

  beforeAll(async () => {
    fleet = await startSimWorkers({ count: 2, port: 0, kvEventsPort: 0, model, speedup: 50, blocks: 2000 });
  });
  afterAll(async () => {
    await fleet.close();
  });
  beforeEach(async () => {
    gateway = await harness.gateway(
      { workers: fleet.workers.map(({ url }) => url), tokenizer: 'builtin', injectUsage: true },
      2,
      [model],
    );
    const defaultHeaders = { 'x-mock-output-len': '1000000' };
    client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0, defaultHeaders });
  });

  it('sees no usage, but the decision record has it', async () => {
    const messages = [{ role: 'user' as const, content: 'Seven wizards watch the moon rise again. '.repeat(20) }];
    for (const id of ['first', 'second']) {
      const chunks = await client.chat.completions.create(
        { model, messages, max_tokens: 6, stream: true },
        { headers: { 'x-request-id': id } },
      );
      let content = '';
      for await (const { choices, usage: seen } of chunks) {
        expect(choices).toHaveLength(1);
        expect(seen ?? null).toBe(null);
        content += choices[0]!.delta.content ?? '';
      }
      expect(content).not.toBe('');
    }
    const [first, second] = [await decision(gateway, 'first'), await decision(gateway, 'second')];
    expect(first).toMatchObject({ actualCachedTokens: 0, outputTokens: 6 });
    expect(first.actualPromptTokens).toBeGreaterThan(100);
    expect(second.actualCachedTokens).toBeGreaterThan(64);
  });

  it('sees the usage that it requests', async () => {
    const chunks = await client.completions.create({
      model,
      prompt: 'Seven wizards',
      max_tokens: 3,
      stream: true,
      stream_options: { include_usage: true },
    });
    let completionTokens = 0;
    for await (const chunk of chunks) completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    expect(completionTokens).toBe(3);
  });
});
