// Traces over OTLP: spans of requests, their place in the client's trace, and what engines get of it.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/index.ts';
import { type FakeEngine, openStream, replyWhole, sendToken, streamTokens } from './fake-engine.ts';
import { type Answer, chatBody, eventually, Harness, post } from './harness.ts';
import { OtlpReceiver, type ReceivedSpan } from './otlp-receiver.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const sampled = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: 'vendor=one,other=two' };
const unsampled = { ...sampled, traceparent: `00-${traceId}-${parentId}-00` };
const chat = { ...chatBody, stream: true, max_tokens: 9 };

let harness: Harness;
let receiver: OtlpReceiver;
const before = { ...process.env };
beforeEach(async () => {
  harness = new Harness();
  receiver = await OtlpReceiver.start();
  process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = receiver.url;
  process.env['OTEL_METRICS_EXPORTER'] = 'none';
  process.env['OTEL_BSP_SCHEDULE_DELAY'] = '20';
});
afterEach(async () => {
  await harness.end();
  await receiver.close();
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
});

async function traced(engines: readonly FakeEngine[], options: GatewayOptions = {}) {
  const workers = engines.map(({ url }) => url);
  const gateway = await harness.gateway({ workers, ...options }, workers.length, ['fake'], {
    otel: true,
    version: '9',
  });
  return {
    gateway,
    ask: (headers = {}, body: object = chat): Promise<Answer> => post(gateway, '/v1/chat/completions', body, headers),
  };
}

/** The server span, once it and all below it have come. */
async function serverSpan(): Promise<ReceivedSpan> {
  await eventually(() => receiver.spans.some(({ kind }) => kind === 'server'));
  return receiver.spans.find(({ kind }) => kind === 'server')!;
}
const childrenOf = (span: ReceivedSpan): ReceivedSpan[] =>
  receiver.spans.filter(({ parentId: id }) => id === span.spanId);
const childOf = (span: ReceivedSpan, name: string): ReceivedSpan => childrenOf(span).find((one) => one.name === name)!;

describe('a traced request', () => {
  it('is a server span in the trace of its client, with tokens, decision and attempt below it', async () => {
    const engine = await harness.engine();
    const { ask } = await traced([engine], {
      apiKeys: ['alice:some-secret-00000001'],
      tokenizer: 'builtin',
      trustTokenizer: true,
    });
    await ask({ ...sampled, authorization: 'Bearer some-secret-00000001', 'x-request-id': 'mine' });
    const root = await serverSpan();
    expect(root).toMatchObject({ traceId, parentId, traceState: sampled.tracestate, name: 'chat fake', failed: false });
    expect(root.scope).toBe('kvoyant');
    expect(root.resource).toMatchObject({
      'service.name': 'kvoyant',
      'service.version': '9',
      'service.instance.id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const worker = `${engine.url}#0`;
    expect(root.attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'kvoyant',
      'gen_ai.request.model': 'fake',
      'gen_ai.request.stream': true,
      'gen_ai.request.max_tokens': 9,
      'gen_ai.usage.input_tokens': 10,
      'gen_ai.usage.output_tokens': 3,
      'gen_ai.usage.cache_read.input_tokens': 0,
      'gen_ai.response.time_to_first_chunk': expect.any(Number),
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
      'kvoyant.request_id': 'mine',
      'kvoyant.key': 'alice',
      'kvoyant.worker': worker,
      'kvoyant.attempts': 1,
      'kvoyant.pool': expect.any(String),
      'gen_ai.response.model': 'fake',
    });
    expect(root.events.map(({ name }) => name)).toEqual(['first_token']);
    expect(
      childrenOf(root)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['chat fake', 'decision', 'tokens']);
    expect(childOf(root, 'tokens').attributes).toEqual({ 'kvoyant.known': 'tokens' });
    expect(childOf(root, 'decision').attributes).toMatchObject({
      'kvoyant.worker': worker,
      'kvoyant.policy': 'foresee',
      'kvoyant.reason': 'only',
      'kvoyant.candidates': 1,
      'kvoyant.overlap_tokens': 0,
      'kvoyant.prompt_tokens': expect.any(Number),
      'kvoyant.actual_cached_tokens': 0,
      'kvoyant.predicted_ttft_ms': expect.any(Number),
      'kvoyant.actual_ttft_ms': expect.any(Number),
    });
    const attempt = childOf(root, 'chat fake');
    expect(attempt).toMatchObject({ kind: 'client', failed: false });
    expect(attempt.attributes).toMatchObject({
      'server.address': '127.0.0.1',
      'server.port': engine.port,
      'http.response.status_code': 200,
      'kvoyant.attempt': 1,
      'kvoyant.outcome': 'done',
      'gen_ai.usage.output_tokens': 3,
    });
    expect(attempt.events.map(({ name }) => name)).toEqual(['first_token']);
    // Nothing of the prompt, the answer or the key.
    const said = JSON.stringify(receiver.spans, (_, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    expect(said).not.toMatch(/hello|secret/);
  });

  it('has times within each other, close to the wall clock', async () => {
    const engine = await harness.engine();
    const { ask } = await traced([engine]);
    const startMs = Date.now();
    await ask(sampled);
    const root = await serverSpan();
    const [earliest, latest] = [BigInt(startMs - 50) * 1_000_000n, BigInt(Date.now() + 50) * 1_000_000n];
    expect(root.startNs >= earliest && root.endNs <= latest).toBe(true);
    expect(childrenOf(root).length).toBe(3);
    for (const { name, startNs, endNs, events } of childrenOf(root)) {
      expect([name, startNs >= root.startNs - 1000n, endNs >= startNs, endNs <= root.endNs + 1000n]).toEqual([
        name,
        true,
        true,
        true,
      ]);
      for (const { timeNs } of events) expect(timeNs >= startNs && timeNs <= endNs).toBe(true);
    }
  });

  it('gives each engine the id of its attempt', async () => {
    const [first, second] = await harness.engines(2);
    for (const engine of [first!, second!]) engine.behaviour = ({ response }) => response.writeHead(503).end();
    const { ask } = await traced([first!, second!]);
    await ask(sampled);
    const root = await serverSpan();
    const attempts = childrenOf(root).filter(({ kind }) => kind === 'client');
    expect(attempts.map(({ attributes }) => attributes['kvoyant.attempt'])).toEqual([1, 2]);
    const sent = [...first!.requests, ...second!.requests]
      .filter(({ path }) => path === '/v1/chat/completions')
      .map(({ headers }) => [headers['traceparent'], headers['tracestate']]);
    expect(sent.sort()).toEqual(
      attempts.map(({ spanId }) => [`00-${traceId}-${spanId}-01`, sampled.tracestate]).sort(),
    );
    expect(attempts[0]).toMatchObject({
      failed: true,
      attributes: { 'error.type': '503', 'kvoyant.outcome': 'failed' },
    });
    expect(root).toMatchObject({
      failed: true,
      attributes: { 'http.response.status_code': 503, 'error.type': '503', 'kvoyant.attempts': 2 },
    });
  });

  it('whose stream another engine goes on with is one answer of two attempts', async () => {
    const engines = await harness.engines(2, { ownedBy: 'vllm' });
    let begun = 0;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        begun += 1;
        // The second engine counts the two tokens of the first as part of its prompt of 10.
        if (begun > 1) return streamTokens(request, 3);
        openStream(request);
        sendToken(request, 'a');
        sendToken(request, 'b');
        return setTimeout(() => request.socket.resetAndDestroy(), 50);
      };
    }
    const { ask } = await traced(engines, { continue: true });
    expect((await ask(sampled)).body).toContain('[DONE]');
    const root = await serverSpan();
    expect(root).toMatchObject({
      failed: false,
      attributes: { 'gen_ai.usage.input_tokens': 8, 'gen_ai.usage.output_tokens': 5, 'kvoyant.attempts': 2 },
    });
    expect(root.events.map(({ name }) => name)).toEqual(['first_token']);
    const attempts = childrenOf(root).filter(({ kind }) => kind === 'client');
    expect(attempts.map(({ attributes }) => attributes['kvoyant.continued_tokens'])).toEqual([undefined, 2]);
  });

  it('shows the wait for a worker', async () => {
    const engine = await harness.engine({ metrics: 'vllm:cache_config_info{block_size="16",num_gpu_blocks="64"} 1\n' });
    const { gateway, ask } = await traced([engine], { workers: [{ url: engine.url, runningRequestsMax: 1 }] });
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
    };
    const running = ask(unsampled);
    await eventually(() => engine.requests.some(({ path }) => path === '/v1/chat/completions'));
    const waiting = ask(sampled);
    await eventually(async () =>
      /kvoyant_queue_depth\{[^}]*\} 1/.test(await (await fetch(`${gateway.adminUrl}/metrics`)).text()),
    );
    engine.behaviour = (request) => streamTokens(request, 1);
    engine.requests.find(({ path }) => path === '/v1/chat/completions')!.response.end('data: [DONE]\n\n');
    await Promise.all([running, waiting]);
    const root = await serverSpan();
    const [queue, decision] = [childOf(root, 'queue'), childOf(root, 'decision')];
    expect(queue.endNs > queue.startNs).toBe(true);
    expect(decision.endNs >= queue.endNs).toBe(true);
  });

  it('that was refused has its status and no attempt', async () => {
    const engine = await harness.engine();
    const { ask } = await traced([engine], {
      apiKeys: [{ name: 'narrow', key: 'some-secret-00000001', requestsPerMinuteMax: 2 }],
    });
    const key = { authorization: 'Bearer some-secret-00000001' };
    expect((await ask(sampled)).status).toBe(401);
    expect((await ask({ ...sampled, ...key }, { model: 'other', messages: [] })).status).toBe(400);
    await ask({ ...unsampled, ...key });
    expect((await ask({ ...sampled, ...key })).status).toBe(429);
    await eventually(() => receiver.spans.length >= 2);
    // Who has no key can't fill the collector: 401 is not traced.
    expect(receiver.spans.map(({ kind, failed, attributes }) => [kind, failed, attributes['error.type']])).toEqual([
      ['server', false, '400'],
      ['server', false, '429'],
    ]);
  });

  it('of other routes is a span too', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => replyWhole(request, 'x');
    const { gateway } = await traced([engine]);
    await post(gateway, '/v1/embeddings', { model: 'fake', input: 'x' }, sampled);
    await post(gateway, '/v1/messages', { model: 'fake', messages: [] }, sampled);
    await fetch(`${gateway.url}/v1/models`, { headers: sampled });
    await eventually(() => receiver.spans.filter(({ kind }) => kind === 'server').length === 2);
    for (const name of ['embeddings fake', 'chat fake']) {
      const kinds = receiver.named(name).map(({ kind }) => kind);
      expect([name, kinds.sort()]).toEqual([name, ['client', 'server']]);
    }
    expect(receiver.spans.every((span) => span.traceId === traceId)).toBe(true);
  });
});

it('with threads has the same spans, made by the process that chooses; the front only passes headers on', async () => {
  const engine = await harness.engine();
  const { gateway, ask } = await traced([engine], { threads: 2, tokenizer: 'builtin', trustTokenizer: true });
  const byThread = async (): Promise<boolean> => {
    await ask(unsampled);
    return (await (await fetch(`${gateway.adminUrl}/metrics`)).text()).includes('thread_requests_total{by="thread"}');
  };
  await eventually(byThread, 60_000);
  expect(receiver.spans).toEqual([]);
  await ask({ ...sampled, 'x-request-id': 'mine' });
  const root = await serverSpan();
  expect(root).toMatchObject({ traceId, parentId, traceState: sampled.tracestate, name: 'chat fake' });
  expect(root.attributes).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/v1/chat/completions',
    'http.response.status_code': 200,
    'gen_ai.request.max_tokens': 9,
    'gen_ai.usage.output_tokens': 3,
    'kvoyant.request_id': 'mine',
  });
  expect(root.events.map(({ name }) => name)).toEqual(['first_token']);
  const names = childrenOf(root).map(({ name }) => name);
  expect(names.sort()).toEqual(['chat fake', 'decision', 'tokens']);
  const { headers } = engine.requests.at(-1)!;
  expect(headers['traceparent']).toBe(`00-${traceId}-${childOf(root, 'chat fake').spanId}-01`);
  expect(headers['tracestate']).toBe(sampled.tracestate);
  receiver.spans.length = 0;
  // Refused by the front, so the owner never placed it.
  expect((await ask(sampled, { model: 'fake', messages: [] })).status).toBe(400);
  const refused = await serverSpan();
  expect(refused).toMatchObject({ traceId, parentId, failed: false });
  expect(refused.attributes).toMatchObject({ 'http.response.status_code': 400, 'error.type': '400' });
}, 90_000);

describe('sampling', () => {
  it('follows the client, and tells the engine', async () => {
    const engine = await harness.engine();
    const { ask } = await traced([engine]);
    await ask(unsampled);
    await ask(sampled);
    await serverSpan();
    expect(receiver.spans.filter(({ kind }) => kind === 'server')).toHaveLength(1);
    const [first] = engine.requests.filter(({ path }) => path === '/v1/chat/completions');
    expect(first!.headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-(?!${parentId})[0-9a-f]{16}-00$`));
    expect(first!.headers['tracestate']).toBe(sampled.tracestate);
  });

  it('begins a trace where the client has none, or a malformed one', async () => {
    process.env['OTEL_TRACES_SAMPLER'] = 'parentbased_traceidratio';
    process.env['OTEL_TRACES_SAMPLER_ARG'] = '0';
    const engine = await harness.engine();
    const { ask } = await traced([engine]);
    await ask();
    await ask({ traceparent: `00-${'0'.repeat(32)}-${parentId}-01`, tracestate: 'a=b' });
    await ask({ traceparent: `${sampled.traceparent}-more` });
    const sent = engine.requests.filter(({ path }) => path === '/v1/chat/completions').map(({ headers }) => headers);
    expect(sent).toHaveLength(3);
    for (const headers of sent) {
      expect(headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
      expect(headers['traceparent']).not.toContain(traceId);
      expect(headers['tracestate']).toBeUndefined();
    }
    await ask(sampled);
    expect((await serverSpan()).traceId).toBe(traceId);
  });

  it.each([
    ['OTEL_SDK_DISABLED', 'true'],
    ['OTEL_TRACES_EXPORTER', 'none'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ])('with %s=%s: the headers of the client are passed on unchanged', async (name, value) => {
    process.env[name] = value;
    const engine = await harness.engine();
    const { ask } = await traced([engine]);
    await ask(sampled);
    const { headers } = engine.requests.find(({ path }) => path === '/v1/chat/completions')!;
    expect(headers).toMatchObject(sampled);
    expect(receiver.headers).toEqual([]);
  });
});

it('identifies itself as OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and the headers say', async () => {
  process.env['OTEL_SERVICE_NAME'] = 'front-door';
  process.env['OTEL_RESOURCE_ATTRIBUTES'] = 'deployment.environment.name=test,service.instance.id=a1';
  process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'x-tenant=blue';
  process.env['OTEL_EXPORTER_OTLP_COMPRESSION'] = 'gzip';
  const engine = await harness.engine();
  const { ask } = await traced([engine]);
  await ask();
  expect((await serverSpan()).resource).toMatchObject({
    'service.name': 'front-door',
    'service.instance.id': 'a1',
    'deployment.environment.name': 'test',
  });
  expect(receiver.headers[0]).toMatchObject({
    'x-tenant': 'blue',
    'content-encoding': 'gzip',
    'content-type': 'application/x-protobuf',
  });
});
