// Inference whose prompts are not read (responses, messages): booked by length, placed by the policy, passed on unchanged.

import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import type { FakeEngine, FakeRequest } from './fake-engine.ts';
import { replyJson } from './fake-engine.ts';
import { atRest, eventually, getJson, Harness, loads, post } from './harness.ts';

interface Decided {
  readonly worker: string;
  readonly attempt: number;
  readonly known: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly outcome: string | null;
  readonly status: number | null;
  readonly error: string | null;
  readonly candidates: readonly unknown[];
}

const routes = ['/v1/responses', '/v1/messages'] as const;
const events = ['event: response.created\ndata: {"a":1}\n\n', ': odd  bytes\r\n\r\n', 'data: {"last":true}\n\n'];
const body = { model: 'fake', input: 'x'.repeat(4000), stream: true };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
// Also asserts that no load is left on any worker.
afterEach(() => harness.end());

function openEvents({ response }: FakeRequest): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(events[0]);
}

function endEvents({ response }: FakeRequest): void {
  response.write(events[1]);
  response.end(events[2]);
}

/** Engines that start an answer and then wait. */
async function started(count: number): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
  const engines = await harness.engines(count);
  for (const engine of engines) engine.behaviour = openEvents;
  return { gateway: await harness.gateway({ workers: engines.map(({ url }) => url) }), engines };
}

/** Settles with the answer once its head is here; the body is read by the caller. */
async function open(gateway: Gateway, path: string, sent: object = body): Promise<IncomingMessage> {
  const request = httpRequest(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  request.on('error', () => undefined);
  request.end(JSON.stringify(sent));
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => undefined);
  return response;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) text += (chunk as Buffer).toString('utf8');
  } catch {
    text += ' (broken off)';
  }
  return text;
}

async function decisions(gateway: Gateway): Promise<readonly Decided[]> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Decided[] }).decisions;
}

const arrived = (engines: readonly FakeEngine[]): FakeRequest[] => engines.flatMap(({ requests }) => requests);

describe.each(routes)('a stream of %s', (path) => {
  it('is booked by its length while it runs, passed on byte for byte, and recorded', async () => {
    const { gateway, engines } = await started(1);
    const response = await open(gateway, path);
    const [load] = (await loads(gateway)).workers;
    expect(load).toMatchObject({ runningRequests: 1 });
    // 16 tokens a block, 4 bytes a token until a usage says otherwise.
    expect(load!.activeBlocks).toBeGreaterThanOrEqual(Math.floor(4000 / 4 / 16));
    expect((await decisions(gateway))[0]).toMatchObject({ known: 'beginning', overlapTokens: 0, outcome: null });
    endEvents(engines[0]!.requests[0]!);
    expect(await textOf(response)).toBe(events.join(''));
    expect(response.headers).toMatchObject({ 'x-kvoyant-overlap-tokens': '0' });
    expect(JSON.parse(engines[0]!.requests[0]!.body)).toEqual(body);
    await atRest(gateway);
    const [decided] = await decisions(gateway);
    expect(decided).toMatchObject({ attempt: 1, outcome: 'done', status: 200, error: null });
    expect(decided!.isl).toBe(Math.round(JSON.stringify(body).length / 4));
    expect(decided!.candidates).toHaveLength(1);
  });

  it('is placed by the policy, on the worker without load', async () => {
    const { gateway, engines } = await started(2);
    const both = [await open(gateway, path), await open(gateway, path)];
    expect(engines.map(({ requests }) => requests.length)).toEqual([1, 1]);
    for (const request of arrived(engines)) endEvents(request);
    for (const response of both) expect(await textOf(response)).toBe(events.join(''));
  });

  it('is released when its client leaves mid-stream', async () => {
    const { gateway, engines } = await started(1);
    (await open(gateway, path)).destroy();
    await eventually(() => engines[0]!.aborted === 1);
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'aborted', error: 'the client went away' });
  });

  it("is released when its engine dies mid-stream, and the client's stream ends early", async () => {
    const { gateway, engines } = await started(1);
    const response = await open(gateway, path);
    engines[0]!.requests[0]!.socket.resetAndDestroy();
    expect(await textOf(response)).not.toContain('"last"');
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'failed', status: 200 });
  });

  it('is retried on another worker if the first dies before it answers, with a record of each attempt', async () => {
    const { gateway, engines } = await started(2);
    let doomed: FakeEngine | null = null;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        doomed ??= engine;
        if (engine === doomed) request.socket.resetAndDestroy();
        else {
          openEvents(request);
          endEvents(request);
        }
      };
    }
    expect((await post(gateway, path, body)).body).toBe(events.join(''));
    await atRest(gateway);
    const tried = await decisions(gateway);
    expect(tried.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [2, 'done'],
      [1, 'failed'],
    ]);
    expect(new Set(tried.map(({ worker }) => worker)).size).toBe(2);
  });

  it('gets 502, then 503 once no worker is ready, and books nothing', async () => {
    const { gateway, engines } = await started(1);
    await engines[0]!.close();
    expect((await post(gateway, path, body)).status).toBe(502);
    await eventually(async () => (await post(gateway, path, body)).status === 503);
    await atRest(gateway);
    expect(gateway.router('fake')!.liveBookings).toBe(0);
  });
});

it("passes an engine's error on, and records it", async () => {
  const { gateway, engines } = await started(1);
  engines[0]!.behaviour = ({ response }) => replyJson(response, 400, { error: { message: 'no such tool' } });
  const answer = await post(gateway, '/v1/messages', body);
  expect([answer.status, answer.body]).toEqual([400, '{"error":{"message":"no such tool"}}']);
  expect((await decisions(gateway))[0]).toMatchObject({
    outcome: 'failed',
    status: 400,
    error: 'the engine answered with status 400',
  });
});

it('queues a request while every worker is full', async () => {
  const engine = await harness.engine();
  engine.behaviour = openEvents;
  const gateway = await harness.gateway({ workers: [{ url: engine.url, runningRequestsMax: 1 }], queue: true });
  const first = await open(gateway, '/v1/responses');
  const second = post(gateway, '/v1/messages', body);
  await eventually(async () => /^kvoyant_queue_depth(\{[^}]*\})? 1$/m.test(await metricsOf(gateway)));
  endEvents(engine.requests[0]!);
  expect(await textOf(first)).toBe(events.join(''));
  await eventually(() => engine.requests.length === 2);
  endEvents(engine.requests[1]!);
  expect((await second).body).toBe(events.join(''));
});

it('books nothing for count_tokens and embeddings', async () => {
  const { gateway, engines } = await started(1);
  engines[0]!.behaviour = ({ response }) => replyJson(response, 200, {});
  for (const path of ['/v1/messages/count_tokens', '/v1/embeddings']) {
    expect((await post(gateway, path, body)).status).toBe(200);
  }
  expect(await decisions(gateway)).toEqual([]);
});

async function metricsOf(gateway: Gateway): Promise<string> {
  return (await fetch(`${gateway.adminUrl}/metrics`)).text();
}
