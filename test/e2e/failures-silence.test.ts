import { describe, type ExpectStatic, it, type TestContext } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeEngine, openStream, replyWhole, sendToken, streamTokens } from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

/**
 * These tests mostly wait, so they run concurrently, each with its own harness. Each has its own `expect` as well, since
 * the common one forgets at the start of a test that another one has asserted.
 */
function inHarness(test: (harness: Harness, expect: ExpectStatic) => Promise<void>) {
  return async ({ expect }: TestContext): Promise<void> => {
    const harness = new Harness();
    try {
      await test(harness, expect);
    } finally {
      await harness.end();
    }
  };
}

const stream = { ...chatBody, stream: true };
const path = '/v1/chat/completions';
const outMsMax = 15_000;

async function state(gateway: Gateway, { url }: FakeEngine): Promise<string> {
  const { workers } = (await getJson(gateway, '/workers')) as { workers: { url: string; state: string }[] };
  return workers.find((worker) => worker.url === url)!.state;
}

const requestsOf = ({ requests }: FakeEngine): number => requests.filter(({ path: asked }) => asked === path).length;

/** Streams to two engines in turn; the first sends one token and then nothing. Resolves when it has. */
async function freeze(gateway: Gateway, frozen: FakeEngine): Promise<Promise<string>[]> {
  let withTokens = 0;
  frozen.behaviour = (request) => {
    openStream(request);
    request.response.flushHeaders();
    if (withTokens++ < 2) sendToken(request, 'a');
  };
  const bodies = Array.from({ length: 8 }, async () => (await post(gateway, path, stream)).body);
  await eventually(() => requestsOf(frozen) === 4);
  return bodies;
}

describe.concurrent('a frozen engine', () => {
  it(
    'that leaves its probe unanswered is out: requests without a token move, the others get an error event',
    inHarness(async (harness, expect) => {
      const [frozen, sound] = await harness.engines(2);
      const workers = [frozen!.url, sound!.url];
      const gateway = await harness.gateway({ workers, policy: 'round-robin' });
      frozen!.health = () => undefined;
      const bodies = await Promise.all(await freeze(gateway, frozen!));
      expect(bodies.filter((body) => body.includes('upstream_failed'))).toHaveLength(2);
      expect(bodies.filter((body) => body.includes('[DONE]'))).toHaveLength(6);
      expect(await state(gateway, frozen!)).toBe('down');
      await eventually(() => frozen!.aborted === 4);
      await atRest(gateway);
      // Other requests are not affected.
      const before = requestsOf(sound!);
      for (let i = 0; i < 4; i++) expect((await post(gateway, path, stream)).body).toContain('[DONE]');
      expect(requestsOf(sound!)).toBe(before + 4);
    }),
  );

  it(
    'returns after a probe, and gets its share at once',
    inHarness(async (harness, expect) => {
      const [frozen, sound] = await harness.engines(2);
      const gateway = await harness.gateway({ workers: [frozen!.url, sound!.url], policy: 'round-robin' });
      const dead = new Set<() => void>();
      frozen!.health = (response) => dead.add(() => response.end());
      await Promise.all(await freeze(gateway, frozen!));
      frozen!.health = (response) => response.end();
      for (const wake of dead) wake();
      await gateway.whenReady(5000);
      frozen!.behaviour = (request) => replyWhole(request, 'back');
      sound!.behaviour = (request) => replyWhole(request, 'fine');
      const before = requestsOf(frozen!);
      await Promise.all(Array.from({ length: 20 }, () => post(gateway, path, chatBody)));
      expect(requestsOf(frozen!) - before).toBe(10);
    }),
  );

  it(
    'that answers /health keeps its streams, gets no new requests, and loses requests without a token to others',
    inHarness(async (harness, expect) => {
      const [stalled, sound] = await harness.engines(2);
      const gateway = await harness.gateway({ workers: [stalled!.url, sound!.url], policy: 'round-robin' });
      const wake: (() => void)[] = [];
      let withTokens = 0;
      stalled!.behaviour = (request) => {
        openStream(request);
        request.response.flushHeaders();
        if (withTokens++ >= 2) return;
        sendToken(request, 'a');
        wake.push(() => {
          sendToken(request, 'b', 'stop');
          request.response.end('data: [DONE]\n\n');
        });
      };
      let ended = 0;
      const answers = Array.from({ length: 8 }, async () => {
        const { body } = await post(gateway, path, stream);
        ended += 1;
        return body;
      });
      await eventually(() => requestsOf(stalled!) === 4);
      await eventually(async () => (await state(gateway, stalled!)) === 'stalled', outMsMax);
      for (let i = 0; i < 4; i++) await post(gateway, path, stream);
      expect(requestsOf(stalled!)).toBe(4);
      // All except the two with tokens.
      await eventually(() => ended === 6, 20_000);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      expect(ended).toBe(6);
      expect(await state(gateway, stalled!)).toBe('stalled');
      for (const go of wake) go();
      const bodies = await Promise.all(answers);
      expect(bodies.filter((body) => body.includes('[DONE]') && !body.includes('error'))).toHaveLength(8);
      await eventually(async () => (await state(gateway, stalled!)) === 'ready');
      await atRest(gateway);
    }),
  );

  it(
    'that answers /health is awaited if there is no other, before the first token and after it',
    inHarness(async (harness, expect) => {
      const engine = await harness.engine();
      const gateway = await harness.gateway({ workers: [engine.url] });
      engine.behaviour = async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 5000));
        openStream(request);
        sendToken(request, 'a');
        await new Promise((resolve) => setTimeout(resolve, 4000));
        sendToken(request, 'b', 'stop');
        request.response.end('data: [DONE]\n\n');
      };
      const first = Array.from({ length: 3 }, () => post(gateway, path, stream));
      await eventually(async () => (await state(gateway, engine)) === 'stalled', outMsMax);
      // New requests are accepted, since there is no other engine.
      const second = post(gateway, path, stream);
      for (const { status, body } of await Promise.all([...first, second])) {
        expect(status).toBe(200);
        expect(body).toContain('[DONE]');
        expect(body).not.toContain('error');
      }
      expect(requestsOf(engine)).toBe(4);
      expect(await state(gateway, engine)).toBe('ready');
    }),
  );

  it(
    'is awaited if the others would take longer',
    inHarness(async (harness, expect) => {
      const [stalled, busy] = await harness.engines(2);
      const gateway = await harness.gateway({ workers: [stalled!.url, busy!.url], policy: 'round-robin' });
      const answers: (() => void)[] = [];
      for (const engine of [stalled!, busy!]) {
        engine.behaviour = (request) => {
          openStream(request);
          answers.push(() => {
            sendToken(request, 'a', 'stop');
            request.response.end('data: [DONE]\n\n');
          });
        };
      }
      // 200,000 tokens booked on the second engine take 100 s at the assumed speed.
      const prompt = Array.from({ length: 200_000 }, (_, i) => i % 50_000);
      const short = post(gateway, '/v1/completions', { model: 'fake', prompt: [1, 2, 3], stream: true });
      await eventually(() => answers.length === 1);
      const long = post(gateway, '/v1/completions', { model: 'fake', prompt, stream: true });
      await eventually(() => answers.length === 2);
      await new Promise((resolve) => setTimeout(resolve, 7000));
      expect(answers).toHaveLength(2);
      for (const answer of answers) answer();
      for (const { body } of await Promise.all([short, long])) expect(body).toContain('[DONE]');
    }),
  );

  it(
    'that sends again is used again at once',
    inHarness(async (harness, expect) => {
      const [slow, sound] = await harness.engines(2);
      const gateway = await harness.gateway({ workers: [slow!.url, sound!.url], policy: 'round-robin' });
      let wake = (): void => undefined;
      slow!.behaviour = (request) => {
        openStream(request);
        sendToken(request, 'a');
        wake = () => {
          sendToken(request, 'b', 'stop');
          request.response.end('data: [DONE]\n\n');
        };
      };
      const bodies = [post(gateway, path, stream), post(gateway, path, stream)];
      await eventually(async () => (await state(gateway, slow!)) === 'stalled', outMsMax);
      wake();
      for (const { body } of await Promise.all(bodies)) expect(body).toContain('[DONE]');
      await eventually(async () => (await state(gateway, slow!)) === 'ready');
    }),
  );

  it(
    'ends requests in one piece too once it misses its probes',
    inHarness(async (harness, expect) => {
      const [frozen, sound] = await harness.engines(2);
      frozen!.health = () => undefined;
      frozen!.behaviour = () => undefined;
      sound!.behaviour = (request) => replyWhole(request, 'fine');
      const gateway = await harness.gateway({ workers: [frozen!.url, sound!.url], policy: 'round-robin' });
      const answers = await Promise.all([post(gateway, path, chatBody), post(gateway, path, chatBody)]);
      for (const { status } of answers) expect(status).toBe(200);
      expect(requestsOf(sound!)).toBe(2);
    }),
  );

  it(
    'as the only engine leads to 504',
    inHarness(async (harness, expect) => {
      const frozen = await harness.engine();
      frozen.health = () => undefined;
      frozen.behaviour = () => undefined;
      const gateway = await harness.gateway({ workers: [frozen.url] });
      const answer = await post(gateway, path, stream);
      expect(answer.status).toBe(504);
      expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'upstream_silent' } });
    }),
  );
});

describe.concurrent('an engine that is silent for a good reason', () => {
  it(
    'stays in use: a prefill of 100,000 tokens',
    inHarness(async (harness, expect) => {
      const engine = await harness.engine();
      engine.behaviour = async (request) => {
        await new Promise((resolve) => setTimeout(resolve, 5500));
        streamTokens(request, 2);
      };
      const gateway = await harness.gateway({ workers: [engine.url] });
      const prompt = Array.from({ length: 100_000 }, (_, i) => i % 50_000);
      let body = '';
      const answer = post(gateway, '/v1/completions', { model: 'fake', prompt, stream: true }).then((whole) => {
        body = whole.body;
      });
      while (body === '') {
        expect(await state(gateway, engine)).toBe('ready');
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      await answer;
      expect(body).toContain('[DONE]');
    }),
  );

  it(
    'stays in use: its client does not read',
    inHarness(async (harness, expect) => {
      const engine = await harness.engine();
      engine.behaviour = async (request) => {
        openStream(request);
        const filler = 'x'.repeat(60_000);
        for (let i = 0; i < 200; i++) sendToken(request, filler, i === 199 ? 'stop' : null);
        request.response.end('data: [DONE]\n\n');
      };
      const gateway = await harness.gateway({ workers: [engine.url] });
      const response = await fetch(gateway.url + path, { method: 'POST', body: JSON.stringify(stream) });
      await new Promise((resolve) => setTimeout(resolve, 3000));
      expect(await state(gateway, engine)).toBe('ready');
      expect(await response.text()).toContain('[DONE]');
    }),
  );
});
