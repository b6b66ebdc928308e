import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import {
  endStream,
  type FakeEngine,
  type FakeRequest,
  openStream,
  replyJson,
  replyWhole,
  resetAfter,
  sendToken,
  streamTokens,
} from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

const stream = { ...chatBody, stream: true };
const path = '/v1/chat/completions';

interface Attempts {
  readonly decisions: readonly { readonly attempt: number; readonly outcome: string; readonly worker: string }[];
}

/** Two engines: the first gets the first request, the other one answers. */
async function pair(
  behaviour: FakeEngine['behaviour'],
  options: object = {},
): Promise<[FakeEngine, FakeEngine, Gateway]> {
  const [failing, sound] = await harness.engines(2);
  failing!.behaviour = behaviour;
  const workers = [failing!.url, sound!.url];
  return [failing!, sound!, await harness.gateway({ workers, policy: 'round-robin', ...options })];
}

function sendRole({ response }: FakeRequest): void {
  const choices = [{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }];
  response.write(`data: ${JSON.stringify({ id: 'chatcmpl-0', object: 'chat.completion.chunk', choices })}\n\n`);
}

const errorChunk = (code: number): string =>
  `data: {"error": {"message": "it died", "type": "InternalServerError", "param": null, "code": ${code}}}\n\ndata: [DONE]\n\n`;

const failures: readonly (readonly [string, (request: FakeRequest) => unknown])[] = [
  [
    'dies after its headers',
    async (request) => {
      openStream(request);
      request.response.flushHeaders();
      await resetAfter(request, 20);
    },
  ],
  [
    'dies after the role chunk',
    async (request) => {
      openStream(request);
      sendRole(request);
      await resetAfter(request, 20);
    },
  ],
  [
    'reports an error before any token',
    (request) => {
      openStream(request);
      sendRole(request);
      request.response.end(errorChunk(500));
    },
  ],
  [
    'ends its stream in order without any answer',
    (request) => {
      openStream(request);
      sendRole(request);
      request.response.end();
    },
  ],
  [
    'sends garbage',
    (request) => {
      openStream(request);
      request.response.end(Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x0a, 0x64, 0x61, 0x74, 0x61, 0x3a, 0x7b, 0x0a, 0x0a]));
    },
  ],
  ['is full (503)', ({ response }) => replyJson(response, 503, { error: { message: 'full', code: 503 } })],
  ['is full (429)', ({ response }) => replyJson(response, 429, { error: { message: 'full', code: 429 } })],
  ['answers 500', ({ response }) => replyJson(response, 500, { error: { message: 'boom', code: 500 } })],
];

describe('a stream whose worker fails before the first token', () => {
  for (const [what, behaviour] of failures) {
    it(`is answered by another worker: the first ${what}`, async () => {
      const [failing, sound, gateway] = await pair(behaviour);
      const answers = [];
      for (let i = 0; i < 2; i++) answers.push(await post(gateway, path, stream, { 'x-request-id': `r${i}` }));
      expect(failing.requests.length).toBeGreaterThan(0);
      for (const answer of answers) {
        expect(answer.status).toBe(200);
        expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(sound.url)}#0`);
        expect(answer.body).toContain('"t1"');
        expect(answer.body).not.toContain('error');
        // It contains nothing from the failed worker.
        expect(answer.body).not.toContain('chatcmpl-0');
      }
      // One request id for both attempts.
      const id = failing.requests[0]!.headers['x-request-id'] as string;
      expect(sound.requests.map(({ headers }) => headers['x-request-id'])).toContain(id);
      const { decisions } = (await getJson(gateway, `/decisions/${id}`)) as Attempts;
      expect(decisions.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
        [2, 'done'],
        [1, 'failed'],
      ]);
      await atRest(gateway);
    });
  }

  it('ends with 502 after two deaths, since the request may be what kills engines', async () => {
    const engines = await harness.engines(4);
    for (const engine of engines) {
      engine.behaviour = async (request) => {
        openStream(request);
        sendRole(request);
        await resetAfter(request, 10);
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    const answer = await post(gateway, path, stream);
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upstream_failed' } });
    expect(engines.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(2);
  });

  it("gets the last engine's answer if all are full, without effect on their health", async () => {
    const engines = await harness.engines(3);
    for (const [i, engine] of engines.entries()) {
      engine.behaviour = ({ response }) => {
        if (i === 1) response.setHeader('retry-after', '7');
        replyJson(response, i === 1 ? 429 : 503, { error: { message: `engine ${i} is full`, code: 'busy' } });
      };
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url) });
    for (let i = 0; i < 20; i++) {
      const { status, headers, body } = await post(gateway, path, i % 2 === 0 ? stream : chatBody);
      const { message, code } = (JSON.parse(body) as { error: { message: string; code: string } }).error;
      expect(code).toBe('busy');
      expect([status, headers['retry-after']]).toEqual(message.includes('1') ? [429, '7'] : [503, '1']);
    }
    expect(engines.every(({ requests }) => requests.length === 20)).toBe(true);
    for (const engine of engines) engine.behaviour = (request) => streamTokens(request, 2);
    expect((await post(gateway, path, stream)).status).toBe(200);
  });

  it('gets the refusal of the only engine word for word', async () => {
    const engine = await harness.engine();
    const error = { error: { message: 'too many queued', type: 'Service Unavailable', param: null, code: 503 } };
    engine.behaviour = ({ response }) => replyJson(response, 503, error);
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answer = await post(gateway, path, stream);
    expect([answer.status, JSON.parse(answer.body)]).toEqual([503, error]);
    expect(answer.headers['retry-after']).toBe('1');
    expect(engine.requests).toHaveLength(1);
  });

  it('passes on a client error that comes as an event', async () => {
    const [failing, sound, gateway] = await pair((request) => {
      openStream(request);
      request.response.end(errorChunk(400));
    });
    const bodies = [];
    for (let i = 0; i < 2; i++) bodies.push((await post(gateway, path, stream)).body);
    expect(bodies.filter((body) => body.includes('it died'))).toHaveLength(1);
    expect([failing.requests.length, sound.requests.length]).toEqual([1, 1]);
  });

  it('ends with an error event once a token was sent', async () => {
    const [, , gateway] = await pair((request) => {
      openStream(request);
      sendToken(request, 'a');
      void resetAfter(request, 20);
    });
    const bodies = [];
    for (let i = 0; i < 2; i++) bodies.push((await post(gateway, path, stream)).body);
    const cut = bodies.filter((body) => body.includes('upstream_failed'));
    expect(cut).toHaveLength(1);
    expect(cut[0]).toContain('"a"');
  });
});

describe('a stream that waits long for its first token', () => {
  it('is kept open by comments, and still moves to another worker when its own dies', async () => {
    let die = (): void => undefined;
    const [failing, sound, gateway] = await pair(
      (request) => {
        openStream(request);
        sendRole(request);
        die = () => request.socket.resetAndDestroy();
      },
      { holdMsMax: 50 },
    );
    let opened: Response | null = null;
    const answers = [0, 1].map(async () => {
      const response = await fetch(gateway.url + path, { method: 'POST', body: JSON.stringify(stream) });
      if (response.headers.get('x-kvoyant-worker') === null) opened = response;
      return response.text();
    });
    await eventually(() => opened !== null && failing.requests.length === 1);
    expect(opened!.status).toBe(200);
    expect(opened!.headers.get('content-type')).toContain('text/event-stream');
    die();
    const bodies = await Promise.all(answers);
    const held = bodies.find((body) => body.startsWith(':'))!;
    expect(held).toContain('"t1"');
    expect(held.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(held).not.toContain('error');
    expect(sound.requests).toHaveLength(2);
  });

  it("reports a failure by an error event, in the engine's words if it has some", async () => {
    const engine = await harness.engine();
    engine.behaviour = async ({ response }) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      replyJson(response, 400, { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } });
    };
    const gateway = await harness.gateway({ workers: [engine.url], holdMsMax: 20 });
    const refused = await post(gateway, path, stream);
    expect(refused.status).toBe(200);
    expect(refused.body).toContain('data: {"error":{"message":"too long"');
    engine.behaviour = async ({ socket }) => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      socket.resetAndDestroy();
    };
    const broken = await post(gateway, path, stream);
    expect(broken.status).toBe(200);
    expect(broken.body).toContain('"code":"upstream_failed"');
    engine.behaviour = async (request) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      openStream(request);
      sendToken(request, 'late', 'stop');
      endStream(request, 5, 1);
    };
    await gateway.whenReady(5000);
    expect((await post(gateway, path, stream)).body).toContain('"late"');
  });
});

describe('health from request outcomes', () => {
  it('is not affected by any number of 400s', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => replyJson(response, 400, { error: { message: 'no', code: 400 } });
    const gateway = await harness.gateway({ workers: [engine.url] });
    for (let i = 0; i < 100; i++) expect((await post(gateway, path, chatBody)).status).toBe(400);
    engine.behaviour = (request) => replyWhole(request, 'fine');
    expect((await post(gateway, path, chatBody)).status).toBe(200);
  });

  it('keeps at least half of the engines in use when requests fail everywhere', async () => {
    const engines = await harness.engines(4);
    for (const engine of engines) {
      engine.behaviour = ({ response }) => replyJson(response, 500, { error: { message: 'boom', code: 500 } });
    }
    const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), policy: 'round-robin' });
    const answers = [];
    for (let i = 0; i < 60; i++) answers.push(await post(gateway, path, chatBody));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([500]));
    const { readyEngines } = (await getJson(gateway, '/ready')) as { readyEngines: number };
    expect(readyEngines).toBeGreaterThanOrEqual(2);
  });

  it('puts an engine out after a series of failures; then one request at a time tests it', async () => {
    const [failing, sound, gateway] = await pair(({ response }) =>
      replyJson(response, 500, { error: { message: 'boom', code: 500 } }),
    );
    for (let i = 0; i < 12; i++) expect((await post(gateway, path, chatBody)).status).toBe(200);
    expect(failing.requests).toHaveLength(5);
    let finish = (): void => undefined;
    failing.behaviour = (request) => {
      finish = () => replyWhole(request, 'back');
    };
    await gateway.whenReady(10_000, 2);
    const answers = Array.from({ length: 10 }, () => post(gateway, path, chatBody));
    await eventually(() => sound.requests.length === 12 + 9);
    expect(failing.requests).toHaveLength(6);
    finish();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    failing.behaviour = (request) => replyWhole(request, 'back');
    await Promise.all(Array.from({ length: 10 }, () => post(gateway, path, chatBody)));
    expect(failing.requests.length).toBe(6 + 5);
  });
});
