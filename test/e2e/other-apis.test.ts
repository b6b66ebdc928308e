// Responses and messages: turned into the chat that engines make of them, prefix-aware, booked, passed on unchanged.

import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { type FakeEngine, type FakeRequest, replyJson, resetAfter, tokenizeCharacters } from './fake-engine.ts';
import { atRest, eventually, getJson, Harness, loads, post } from './harness.ts';
import {
  answerOther,
  bodyOf,
  ending,
  type OtherApi,
  openEvents,
  opening,
  pathOf,
  streamOf,
  token,
} from './other-apis.ts';

interface Decided {
  readonly worker: string;
  readonly attempt: number;
  readonly known: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly outcome: string | null;
  readonly status: number | null;
  readonly error: string | null;
  readonly outputTokens: number | null;
  readonly actualPromptTokens: number | null;
  readonly actualCachedTokens: number | null;
  readonly account: { readonly cachedTokens: number } | null;
  readonly ttftMs: number | null;
}

const apis: readonly OtherApi[] = ['responses', 'messages'];
const counts = { promptTokens: 100, cachedTokens: 0, outputTokens: 3 };

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
// Also asserts that no load is left on any worker.
afterEach(() => harness.end());

/** Engines that tell the tokens of prompts: one for each character. */
async function started(
  count: number,
  options: GatewayOptions = {},
): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
  const engines = await harness.engines(count);
  for (const engine of engines) engine.tokenize = tokenizeCharacters;
  const workers = engines.map(({ url }) => url);
  return { gateway: await harness.gateway({ workers, tokenizer: 'engine', ...options }), engines };
}

/** Settles with the answer once its head is here; the body is read by the caller. */
async function open(gateway: Gateway, path: string, sent: object): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json' };
  const request = httpRequest(gateway.url + path, { method: 'POST', headers });
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
const indexOf = (engines: readonly FakeEngine[], { worker }: Pick<Decided, 'worker'>): number =>
  engines.findIndex(({ url }) => worker.startsWith(url));

describe.each(apis)('a stream of %s', (api) => {
  const path = pathOf[api];
  const body = bodyOf(api, 'x'.repeat(400), { stream: true });

  it('is booked while it runs, passed on byte for byte, and recorded with its tokens and its usage', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = (request) => {
      openEvents(request);
      request.response.write(opening(api));
      request.response.write(token(api, 'a'));
    };
    const response = await open(gateway, path, body);
    const [load] = (await loads(gateway)).workers;
    expect(load).toMatchObject({ runningRequests: 1, activePrefillTokens: 0 });
    expect(load!.activeBlocks).toBeGreaterThanOrEqual(Math.floor(400 / 16));
    const [running] = await decisions(gateway);
    expect(running).toMatchObject({ known: 'tokens', outcome: null });
    expect(running!.isl).toBeGreaterThan(400);
    expect(running!.ttftMs).toBeGreaterThan(0);
    const odd = ': odd  bytes\r\n\r\ndata: {"not": "known"}\n\n';
    const end = token(api, 'b') + ending(api, { ...counts, promptTokens: running!.isl, outputTokens: 2 });
    engines[0]!.requests[0]!.response.end(odd + end);
    expect(await textOf(response)).toBe(opening(api) + token(api, 'a') + odd + end);
    expect(engines[0]!.requests[0]!.body).toBe(JSON.stringify(body));
    await atRest(gateway);
    const [decided] = await decisions(gateway);
    expect(decided).toMatchObject({ attempt: 1, outcome: 'done', status: 200, error: null, outputTokens: 2 });
    expect(decided).toMatchObject({ account: { cachedTokens: 0 }, actualPromptTokens: running!.isl });
  });

  it('goes where its conversation is computed, and what is there is predicted', async () => {
    const { gateway, engines } = await started(3);
    for (const engine of engines) {
      engine.behaviour = (request) => {
        openEvents(request);
        request.response.write(opening(api) + token(api, 'a'));
      };
    }
    const first = await open(gateway, path, body);
    const second = await open(gateway, path, bodyOf(api, `${'x'.repeat(400)} and more`, { stream: true }));
    const other = await open(gateway, path, bodyOf(api, 'z'.repeat(400), { stream: true }));
    const [apart, next, before] = await decisions(gateway);
    expect(next!.worker).toBe(before!.worker);
    expect(next!.overlapTokens).toBeGreaterThanOrEqual(368);
    expect(apart!.worker).not.toBe(before!.worker);
    for (const { response } of arrived(engines)) response.end(ending(api, counts));
    for (const response of [first, second, other]) expect(await textOf(response)).toContain(ending(api, counts));
    await atRest(gateway);
  });

  it('is tried at another engine if the first fails before its first token, with a record of each attempt', async () => {
    const { gateway, engines } = await started(2);
    let doomed: FakeEngine | null = null;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        doomed ??= engine;
        if (engine !== doomed) answerOther(api, request, counts);
        else {
          openEvents(request);
          request.response.write(opening(api));
          void resetAfter(request, 20);
        }
      };
    }
    expect((await post(gateway, path, body)).body).toBe(streamOf(api, counts));
    await atRest(gateway);
    const tried = await decisions(gateway);
    expect(tried.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [2, 'done'],
      [1, 'failed'],
    ]);
    expect(new Set(tried.map(({ worker }) => worker)).size).toBe(2);
  });

  it('of an engine that reports an error before its first token is tried at another', async () => {
    const { gateway, engines } = await started(2);
    let calls = 0;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        calls += 1;
        if (calls > 1) return answerOther(api, request, counts);
        openEvents(request);
        request.response.end(`${opening(api)}event: error\ndata: {"type":"error","error":{"message":"broken"}}\n\n`);
      };
    }
    expect((await post(gateway, path, body)).body).toBe(streamOf(api, counts));
    await atRest(gateway);
  });

  it('is released when its client leaves mid-stream, and when its engine dies', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = (request) => {
      openEvents(request);
      request.response.write(opening(api) + token(api, 'a'));
    };
    (await open(gateway, path, body)).destroy();
    await eventually(() => engines[0]!.aborted === 1);
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'aborted', error: 'the client went away' });
    const response = await open(gateway, path, body);
    engines[0]!.requests[1]!.socket.resetAndDestroy();
    const text = await textOf(response);
    expect(text).toContain(token(api, 'a'));
    expect(text).toContain('upstream_failed');
    expect(text.includes('event: error')).toBe(api === 'messages');
    await atRest(gateway);
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'failed', status: 200 });
  });

  it('that ends without its last event is told to be incomplete', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = (request) => {
      openEvents(request);
      request.response.end(opening(api) + token(api, 'a'));
    };
    expect((await post(gateway, path, body)).body).toContain('upstream_failed');
    await atRest(gateway);
  });

  it('gets 502, then 503 once no worker is ready, and books nothing', async () => {
    const { gateway, engines } = await started(1);
    await engines[0]!.close();
    const broken = await post(gateway, path, body);
    expect(broken.status).toBe(502);
    // In the words of the API.
    expect((JSON.parse(broken.body) as { type?: string }).type).toBe(api === 'messages' ? 'error' : undefined);
    await eventually(async () => (await post(gateway, path, body)).status === 503);
    await atRest(gateway);
    expect(gateway.router('fake')!.liveBookings).toBe(0);
  });

  it('waits in the queue while every worker is full', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      openEvents(request);
      request.response.write(opening(api) + token(api, 'a'));
    };
    const gateway = await harness.gateway({ workers: [{ url: engine.url, runningRequestsMax: 1 }], queue: true });
    const first = await open(gateway, path, body);
    const second = post(gateway, path, body);
    const metrics = async (): Promise<string> => (await fetch(`${gateway.adminUrl}/metrics`)).text();
    await eventually(async () => /^kvoyant_queue_depth(\{[^}]*\})? 1$/m.test(await metrics()));
    for (const index of [0, 1]) {
      await eventually(() => engine.requests.length > index);
      engine.requests[index]!.response.end(ending(api, counts));
    }
    expect(await textOf(first)).toBe(opening(api) + token(api, 'a') + ending(api, counts));
    expect((await second).status).toBe(200);
  });
});

describe.each(apis)('an answer of %s in one piece', (api) => {
  it('is passed on unchanged, and its usage is read', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = (request) => answerOther(api, request, { ...counts, cachedTokens: 32 });
    const answer = await post(gateway, pathOf[api], bodyOf(api, 'hello'));
    expect(answer.status).toBe(200);
    await atRest(gateway);
    const actual = { actualPromptTokens: 100, actualCachedTokens: 32 };
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'done', outputTokens: 3, ...actual });
  });

  it("passes an engine's error on, and records it", async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = ({ response }) => replyJson(response, 400, { error: { message: 'no such tool' } });
    const answer = await post(gateway, pathOf[api], bodyOf(api, 'hello'));
    expect([answer.status, answer.body]).toEqual([400, '{"error":{"message":"no such tool"}}']);
    const error = 'the engine answered with status 400';
    expect((await decisions(gateway))[0]).toMatchObject({ outcome: 'failed', status: 400, error });
  });

  it('is tried elsewhere after a 500', async () => {
    const { gateway, engines } = await started(2);
    let calls = 0;
    for (const engine of engines) {
      engine.behaviour = (request) => {
        calls += 1;
        if (calls === 1) replyJson(request.response, 500, { error: { message: 'no' } });
        else answerOther(api, request, counts);
      };
    }
    expect((await post(gateway, pathOf[api], bodyOf(api, 'hello'))).status).toBe(200);
  });

  it.each(['{', '[]', '{"model":"fake","model":"other"}', '{"model":7}'])('%s is refused', async (body) => {
    const { gateway, engines } = await started(1);
    expect((await post(gateway, pathOf[api], body)).status).toBe(400);
    expect(arrived(engines)).toEqual([]);
  });

  it('what the gateway can not convert is left to the engine, and known by its bytes', async () => {
    const { gateway, engines } = await started(1);
    engines[0]!.behaviour = (request) => answerOther(api, request, counts);
    const odd = { model: 'fake', input: [{ type: 'item_reference', id: 'x' }], messages: [{ role: 'tool' }] };
    expect((await post(gateway, pathOf[api], odd)).status).toBe(200);
    expect((await decisions(gateway))[0]).toMatchObject({ known: 'bytes', outcome: 'done' });
    expect(engines[0]!.requests[0]!.body).toBe(JSON.stringify(odd));
  });
});

it('a template that refuses a system message among the others gets it at the beginning, as vLLM does', async () => {
  const { gateway, engines } = await started(1);
  const [engine] = engines as [FakeEngine];
  engine.tokenize = (question, response) => {
    const roles = (question['messages'] as { role: string }[]).map(({ role }) => role);
    if (roles.indexOf('system', 1) !== -1) replyJson(response, 400, { error: { message: 'system must be first' } });
    else tokenizeCharacters(question, response);
  };
  engine.behaviour = (request) => answerOther('messages', request, counts);
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'system', content: 'a reminder' },
    { role: 'user', content: 'b' },
  ];
  const body = { model: 'fake', system: 'Be brief. ', messages, max_tokens: 5 };
  expect((await post(gateway, '/v1/messages', body)).status).toBe(200);
  expect(engine.questions.at(-1)).toMatchObject({
    messages: [{ content: 'Be brief. a reminder' }, { content: 'a' }, { content: 'b' }],
  });
  expect((await decisions(gateway))[0]).toMatchObject({ known: 'tokens', outcome: 'done' });
});

it('a conversion that the engine does not share claims nothing after three wrong counts', async () => {
  const { gateway, engines } = await started(1);
  engines[0]!.behaviour = (request) => answerOther('responses', request, { ...counts, promptTokens: 7 });
  for (let i = 0; i < 4; i++) await post(gateway, '/v1/responses', bodyOf('responses', `hello ${i}`));
  expect((await decisions(gateway)).map(({ known }) => known)).toEqual(['bytes', 'tokens', 'tokens', 'tokens']);
  // It says nothing of the worker's tokenizer.
  const { workers } = (await getJson(gateway, '/workers')) as { workers: { findings?: object[] }[] };
  expect(JSON.stringify(workers)).not.toContain('token-count');
  await post(gateway, '/v1/messages', bodyOf('messages', 'hello'));
  expect((await decisions(gateway))[0]).toMatchObject({ known: 'tokens' });
});

describe('previous_response_id', () => {
  const ask = (previous: string | null, text = 'hi'): object =>
    bodyOf('responses', text, { ...(previous !== null && { previous_response_id: previous }) });

  /** Engines that keep their responses, as vLLM does. */
  async function keeping(
    count: number,
    options: GatewayOptions = {},
  ): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
    const both = await started(count, options);
    let made = 0;
    for (const engine of both.engines) {
      const kept = new Set<string>();
      engine.behaviour = (request) => {
        const { previous_response_id: previous } = JSON.parse(request.body) as { previous_response_id?: string };
        if (previous !== undefined && !kept.has(previous)) {
          replyJson(request.response, 404, { error: { message: `Response with id '${previous}' not found.` } });
          return;
        }
        made += 1;
        const id = `resp_${made}`;
        kept.add(id);
        answerOther('responses', request, counts, id);
      };
    }
    return both;
  }

  it('brings each turn to the engine that holds the response', async () => {
    const { gateway, engines } = await keeping(3, { policy: 'round-robin' });
    let id: string | null = null;
    for (let turn = 0; turn < 6; turn++) {
      const stream = turn % 2 === 0;
      const answer = await post(gateway, '/v1/responses', { ...ask(id), stream });
      expect(answer.status).toBe(200);
      id = `resp_${turn + 1}`;
      expect(answer.body).toContain(id);
    }
    const all = await decisions(gateway);
    expect(new Set(all.map(({ worker }) => worker)).size).toBe(1);
    expect(all).toHaveLength(6);
    // The response that it continues counts as prompt, but none of its blocks is claimed.
    expect(all[0]).toMatchObject({ known: 'beginning', overlapTokens: 0 });
    expect(all[0]!.isl).toBeGreaterThan(103);
    await atRest(gateway);
    expect(arrived(engines)).toHaveLength(6);
  });

  it('that the gateway does not know is looked for at every engine', async () => {
    const { gateway, engines } = await keeping(4, { policy: 'round-robin' });
    const first = await post(gateway, '/v1/responses', ask(null));
    const holder = indexOf(engines, (await decisions(gateway))[0]!);
    expect(first.status).toBe(200);
    const second = await harness.gateway({ workers: engines.map(({ url }) => url), tokenizer: 'engine' });
    const answer = await post(second, '/v1/responses', ask('resp_1'));
    expect(answer.status).toBe(200);
    expect(indexOf(engines, (await decisions(second))[0]!)).toBe(holder);
    // A refusal says nothing bad of an engine.
    const { workers } = (await getJson(second, '/workers')) as { workers: { state: string }[] };
    expect(workers.map(({ state }) => state)).toEqual(['ready', 'ready', 'ready', 'ready']);
    const before = arrived(engines).length;
    const nowhere = await post(second, '/v1/responses', ask('resp_none'));
    expect([nowhere.status, nowhere.body]).toEqual([404, expect.stringContaining('resp_none') as string]);
    expect(arrived(engines).length - before).toBe(4);
    await atRest(second);
  });

  it('of a holder that is gone is answered with 404, and of one that is not ready with 503', async () => {
    const { gateway, engines } = await keeping(2);
    await post(gateway, '/v1/responses', ask(null));
    const holder = engines[indexOf(engines, (await decisions(gateway))[0]!)]!;
    const id = encodeURIComponent(holder.url);
    await fetch(`${gateway.adminUrl}/workers/${id}/drain`, { method: 'POST' });
    const waiting = await post(gateway, '/v1/responses', ask('resp_1'));
    expect([waiting.status, waiting.body]).toEqual([503, expect.stringContaining('holder_not_ready') as string]);
    await fetch(`${gateway.adminUrl}/workers/${id}`, { method: 'DELETE' });
    await eventually(async () => (await post(gateway, '/v1/responses', ask('resp_1'))).status === 404);
  });

  it('of another key is answered with 404, and no engine is asked', async () => {
    const apiKeys = [
      { name: 'alice', key: 'alice-secret-key' },
      { name: 'bob', key: 'the-secret-of-bob' },
    ];
    const { gateway, engines } = await keeping(2, { apiKeys });
    const as = (key: string) => ({ authorization: `Bearer ${key}` });
    expect((await post(gateway, '/v1/responses', ask(null), as('alice-secret-key'))).status).toBe(200);
    const foreign = await post(gateway, '/v1/responses', ask('resp_1'), as('the-secret-of-bob'));
    expect([foreign.status, foreign.body]).toEqual([404, expect.stringContaining('response_not_found') as string]);
    expect(arrived(engines)).toHaveLength(1);
    expect((await post(gateway, '/v1/responses', ask('resp_1'), as('alice-secret-key'))).status).toBe(200);
  });
});

it('a request with built-in tools is not sent to a second engine once one has begun', async () => {
  const { gateway, engines } = await started(2);
  for (const engine of engines) {
    engine.behaviour = (request) => {
      openEvents(request);
      request.response.write(opening('responses'));
      void resetAfter(request, 20);
    };
  }
  const body = bodyOf('responses', 'hi', { stream: true, tools: [{ type: 'code_interpreter' }] });
  expect((await post(gateway, '/v1/responses', body)).status).toBe(502);
  expect(arrived(engines)).toHaveLength(1);
  for (const engine of engines) engine.behaviour = ({ response }) => replyJson(response, 500, {});
  expect((await post(gateway, '/v1/responses', body)).status).toBe(500);
  expect(arrived(engines)).toHaveLength(2);
});
