import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/core/index.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import {
  type FakeEngine,
  type FakeRequest,
  openStream,
  replyJson,
  replyWhole,
  sendToken,
  streamTokens,
} from './fake-engine.ts';
import { atRest, Harness } from './harness.ts';

const requestCount = 300;

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(async () => {
  await harness.end();
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Possible behaviours of an engine, drawn per request. */
const mischief: readonly ((request: FakeRequest, random: Random) => unknown)[] = [
  (request) => streamTokens(request, 30),
  (request) => replyWhole(request, 'fine'),
  ({ socket }) => socket.resetAndDestroy(),
  ({ socket }) => socket.end(),
  ({ response }) =>
    replyJson(response, 500, { error: { message: 'boom', type: 'InternalServerError', param: null, code: 500 } }),
  ({ response }) =>
    replyJson(response, 503, { error: { message: 'full', type: 'Service Unavailable', param: null, code: 503 } }),
  // Never answers; the client gives up.
  () => undefined,
  async (request, random) => {
    openStream(request);
    for (let i = random.below(20); i > 0; i--) {
      sendToken(request, 'x');
      await sleep(1);
    }
    request.socket.resetAndDestroy();
  },
  async (request) => {
    openStream(request);
    sendToken(request, 'x');
    await sleep(10);
    request.response.end(
      'data: {"error": {"message": "died", "type": "InternalServerError", "code": 500}}\n\ndata: [DONE]\n\n',
    );
  },
  // Ends normally, but in the middle of the answer.
  (request) => {
    openStream(request);
    sendToken(request, 'x');
    request.response.end('data: {"id": "cut');
  },
  (request) => {
    openStream(request);
    request.response.end('data: [DONE]\n\n');
  },
];

async function sendOne(gateway: Gateway, random: Random): Promise<'answered' | 'broken' | 'aborted'> {
  const abort = new AbortController();
  // Every request ends: an unanswered one is given up by then.
  const timer = setTimeout(() => abort.abort(), random.below(2) === 0 ? 5000 : random.below(60));
  const tokens = Array.from({ length: 1 + random.below(200) }, () => random.below(4));
  const group = random.below(5);
  try {
    const response = await fetch(`${gateway.url}/v1/completions`, {
      method: 'POST',
      headers: { 'x-mischief': String(random.below(mischief.length)), 'x-seed': String(random.uint32()) },
      body: JSON.stringify({
        model: 'fake',
        prompt:
          random.below(4) === 0
            ? [
                [group, ...tokens],
                [group, 1],
              ]
            : [group, ...tokens],
        n: 1 + random.below(2),
        stream: random.below(2) === 0,
      }),
      signal: abort.signal,
    });
    await response.text();
    return 'answered';
  } catch {
    return abort.signal.aborted ? 'aborted' : 'broken';
  } finally {
    clearTimeout(timer);
  }
}

describe('after random behaviour of engines and clients', () => {
  for (const policy of ['kv', 'round-robin', 'least-requests'] as const) {
    it(`no booking is left (${policy})`, async () => {
      const random = new Random(1731);
      const engines: FakeEngine[] = await harness.engines(4);
      for (const engine of engines) {
        engine.behaviour = (request) => {
          const draw = new Random(Number(request.headers['x-seed']));
          return mischief[Number(request.headers['x-mischief'])]!(request, draw);
        };
      }
      const gateway = await harness.gateway({ workers: engines.map(({ url }) => url), policy });
      const outcomes: Promise<string>[] = [];
      for (let i = 0; i < requestCount; i++) {
        outcomes.push(sendOne(gateway, random));
        if (random.below(4) === 0) await sleep(random.below(4));
        gateway.router('fake')!.assertConsistent();
      }
      const ended = await Promise.all(outcomes);
      expect(ended.filter((outcome) => outcome === 'answered').length).toBeGreaterThan(requestCount / 16);
      expect(ended).toContain('aborted');
      await atRest(gateway);
      const { routed, stale } = gateway.router('fake')!.counters();
      expect(routed).toBeGreaterThanOrEqual(requestCount / 2);
      expect(stale).toBe(0);
    });
  }
});
