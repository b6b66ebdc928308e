import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import { FakeEngine, openStream, replyJson, replyWhole, sendToken, streamTokens } from './fake-engine.ts';
import { type Answer, atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

interface WorkersAnswer {
  readonly workers: readonly { readonly url: string; readonly state: string; readonly reason: string | null }[];
}

interface DecisionsAnswer {
  readonly decisions: readonly {
    readonly worker: string;
    readonly attempt: number;
    readonly outcome: string | null;
    readonly candidates: readonly { readonly worker: string }[];
  }[];
}

describe('a worker that fails before it answers', () => {
  it('is skipped for the rest of the request, and for all requests once it is gone', async () => {
    const [dead, alive] = await harness.engines(2);
    const gateway = await harness.gateway({ workers: [dead!.url, alive!.url], policy: 'round-robin' });
    await dead!.close();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post(gateway, '/v1/chat/completions', { ...chatBody, stream: true })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(alive!.requests).toHaveLength(20);
    await eventually(async () => {
      const { workers } = (await getJson(gateway, '/workers')) as WorkersAnswer;
      return workers.some(({ url, state }) => url === dead!.url && state === 'down');
    });
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(200);
  });

  it('that resets the connection is tried once, then another one', async () => {
    const [resetting, sound] = await harness.engines(2);
    resetting!.behaviour = ({ socket }) => socket.resetAndDestroy();
    sound!.behaviour = (request) => replyWhole(request, 'fine');
    const gateway = await harness.gateway({ workers: [resetting!.url, sound!.url], policy: 'round-robin' });
    for (let i = 0; i < 4; i++) {
      const answer = await post(gateway, '/v1/chat/completions', chatBody, { 'x-request-id': `r${i}` });
      expect(answer.status).toBe(200);
      expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(sound!.url)}#0`);
    }
    const tried = resetting!.requests.find(({ headers }) => headers['x-request-id'] !== undefined)!;
    const { decisions } = (await getJson(gateway, `/decisions/${tried.headers['x-request-id']}`)) as DecisionsAnswer;
    expect(decisions.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [2, 'done'],
      [1, 'failed'],
    ]);
    expect(decisions[0]!.candidates.map(({ worker }) => worker)).toEqual([`${sound!.url}#0`]);
  });

  it('leads to 502 if none answers', async () => {
    const engines = await harness.engines(2);
    for (const engine of engines) engine.behaviour = ({ socket }) => socket.resetAndDestroy();
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const answer = await post(gateway, '/v1/chat/completions', chatBody);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upstream_failed', type: 'server_error' } });
    // Once, and once more if the connection had been used before.
    for (const { requests } of engines) expect([1, 2]).toContain(requests.length);
  });

  it('leads to 502 upstream_unreachable when all are gone, then to 503', async () => {
    const engines = await harness.engines(2);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    await Promise.all(engines.map((engine) => engine.close()));
    const answer = await post(gateway, '/v1/chat/completions', chatBody);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upstream_unreachable' } });
    const next = await post(gateway, '/v1/chat/completions', chatBody);
    expect(next.status).toBe(503);
    expect(next.headers['retry-after']).toBe('1');
    expect(JSON.parse(next.body)).toMatchObject({ error: { code: 'no_available_workers' } });
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(503);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(200);
  });

  it('is asked again on a new connection if an idle one was reset', async () => {
    const engine = await harness.engine();
    let resets = 0;
    const first = new Set<object>();
    engine.behaviour = (request) => {
      const { socket } = request;
      // Every connection takes one request; the second on it finds it reset, as after a keep-alive race.
      if (first.has(socket)) {
        resets += 1;
        socket.resetAndDestroy();
        return;
      }
      first.add(socket);
      replyWhole(request, 'fine');
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (let i = 0; i < 6; i++) expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(200);
    expect(resets).toBeGreaterThan(0);
    const { workers } = (await getJson(gateway, '/workers')) as WorkersAnswer;
    expect(workers[0]!.state).toBe('ready');
  });

  it('returns when it is up again, with no known blocks', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url] });
    await post(gateway, '/v1/completions', { model: 'fake', prompt: Array.from({ length: 64 }, (_, i) => i) });
    const { port } = engine;
    expect(gateway.router('fake')!.loads()[0]!.heldBlocks).toBe(4);
    await engine.close();
    expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(502);
    const revived = await FakeEngine.start({ port });
    try {
      await gateway.whenReady(5000);
      expect(gateway.router('fake')!.loads()[0]).toMatchObject({ heldBlocks: 0, viewEpoch: 1 });
      expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(200);
    } finally {
      await revived.close();
    }
  });
});

describe('a gateway without a ready worker', () => {
  it('starts, reports that, and uses the worker when it appears', async () => {
    const placeholder = await FakeEngine.start();
    const { port, url } = placeholder;
    await placeholder.close();
    const gateway = await harness.gateway({ workers: [url] }, 0);
    expect((await fetch(`${gateway.url}/ready`)).status).toBe(503);
    const early = await post(gateway, '/v1/chat/completions', chatBody);
    expect(early.status).toBe(503);
    expect(JSON.parse(early.body)).toMatchObject({ error: { code: 'no_available_workers' } });
    await harness.engine({ port });
    await gateway.whenReady(5000);
    expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(200);
  });

  it('keeps engines with another tokenizer out, and reports why', async () => {
    const engine = await harness.engine();
    const gateway = await harness.gateway({ workers: [engine.url], tokenizer: 'builtin' }, 0);
    await eventually(async () => {
      const { workers } = (await getJson(gateway, '/workers')) as WorkersAnswer;
      return workers[0]!.state === 'refused' && /\/tokenize/.test(workers[0]!.reason ?? '');
    });
    expect((await post(gateway, '/v1/chat/completions', chatBody)).status).toBe(503);
    const trusting = await harness.gateway({ workers: [engine.url], tokenizer: 'builtin', trustTokenizer: true });
    expect((await post(trusting, '/v1/chat/completions', chatBody)).status).toBe(200);
  });
});

describe('a client that goes away', () => {
  const waitForRequest = async (engine: FakeEngine): Promise<void> => eventually(() => engine.requests.length > 0);

  for (const [when, stream] of [
    ['before the first byte of a stream', true],
    ['before an answer in one piece', false],
  ] as const) {
    it(`${when} aborts its request`, async () => {
      const engine = await harness.engine();
      engine.behaviour = () => undefined;
      const gateway = await harness.gateway({ workers: [engine.url] });
      const abort = new AbortController();
      const answer = fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ ...chatBody, stream }),
        signal: abort.signal,
      });
      answer.catch(() => undefined);
      await waitForRequest(engine);
      expect(gateway.router('fake')!.liveBookings).toBe(1);
      abort.abort();
      await expect(answer).rejects.toThrow();
      await atRest(gateway);
      await eventually(() => engine.aborted === 1);
      const { decisions } = (await getJson(gateway, '/decisions')) as DecisionsAnswer;
      expect(decisions[0]!.outcome).toBe('aborted');
    });
  }

  it('in mid-stream aborts its request', async () => {
    const engine = await harness.engine();
    engine.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a');
    };
    const gateway = await harness.gateway({ workers: [engine.url] });
    const abort = new AbortController();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ ...chatBody, stream: true }),
      signal: abort.signal,
    });
    await response.body!.getReader().read();
    expect(gateway.router('fake')!.liveBookings).toBe(1);
    abort.abort();
    await atRest(gateway);
    await eventually(() => engine.aborted === 1);
  });
});

describe('many requests at once', () => {
  it('all succeed, and are spread over the workers', async () => {
    const engines = await harness.engines(4);
    for (const engine of engines) {
      engine.behaviour = async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        streamTokens(request, 20);
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        post(gateway, '/v1/completions', { model: 'fake', prompt: Array.from({ length: 40 }, () => i), stream: true }),
      ),
    );
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    for (const { requests } of engines) expect(requests.length).toBeGreaterThan(40);
  });

  it('are spread although each is shorter than a block, also one after the other', async () => {
    const engines = await harness.engines(4);
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), policy: 'kv' });
    const counts = (): number[] => engines.map(({ requests }) => requests.length);
    const short = (): Promise<Answer> =>
      post(gateway, '/v1/completions', { model: 'fake', prompt: [1, 2, 3], stream: true });
    await Promise.all(Array.from({ length: 400 }, short));
    const atOnce = counts();
    for (let i = 0; i < 100; i++) await short();
    const oneByOne = counts().map((count, i) => count - atOnce[i]!);
    expect(Math.min(...atOnce)).toBeGreaterThan(60);
    expect(Math.min(...oneByOne)).toBeGreaterThan(5);
  });

  it('survive the death of a worker', async () => {
    const [dying, sound] = await harness.engines(2);
    dying!.behaviour = () => undefined;
    sound!.behaviour = (request) => replyJson(request.response, 200, { object: 'text_completion', choices: [] });
    const gateway = await harness.gateway({ workers: [dying!.url, sound!.url], policy: 'round-robin' });
    const answers = Array.from({ length: 50 }, () => post(gateway, '/v1/completions', { model: 'fake', prompt: 'x' }));
    await eventually(() => dying!.requests.length === 25);
    await dying!.close();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
  });
});
