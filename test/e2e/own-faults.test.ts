import { Counter } from 'prom-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Router } from '../../src/core/index.ts';
import { Engine } from '../../src/gateway/engines/engine.ts';
import { EngineCalls } from '../../src/gateway/engines/engine-calls.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { ClientAnswer } from '../../src/gateway/inference/client-answer.ts';
import { StreamObserver } from '../../src/gateway/inference/stream-observer.ts';
import { BookingLease } from '../../src/gateway/pools/booking-lease.ts';
import { Pool } from '../../src/gateway/pools/pool.ts';
import { SessionAffinity } from '../../src/gateway/pools/session-affinity.ts';
import { AdmissionMetrics } from '../../src/gateway/telemetry/admission-metrics.ts';
import { BucketHistogram } from '../../src/gateway/telemetry/bucket-histogram.ts';
import { DecisionLog } from '../../src/gateway/telemetry/decision-log.ts';
import { GatewayMetrics } from '../../src/gateway/telemetry/gateway-metrics.ts';
import type { FakeEngine } from './fake-engine.ts';
import { endStream, openStream, replyJson, sendToken, streamTokens } from './fake-engine.ts';
import { atRest, chatBody, eventually, getJson, Harness, post } from './harness.ts';

const path = '/v1/chat/completions';
const streamBody = { ...chatBody, stream: true };
const unhandled: unknown[] = [];
const note = (error: unknown): void => void unhandled.push(error);

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
  unhandled.length = 0;
  process.on('unhandledRejection', note);
  process.on('uncaughtException', note);
});
afterEach(async () => {
  for (const restore of undo.splice(0)) restore();
  await harness.end();
  process.off('unhandledRejection', note);
  process.off('uncaughtException', note);
  expect(unhandled).toEqual([]);
});

const undo: (() => void)[] = [];
type Method = (...args: unknown[]) => unknown;

/** Makes the method throw once, on the first instance that `applies` accepts. @returns whether it has thrown */
function throwOnce(prototype: object, method: string, applies = (_: object): boolean => true): () => boolean {
  const owner = prototype as Record<string, Method>;
  const own = Object.getOwnPropertyDescriptor(prototype, method);
  const original = owner[method]!;
  let thrown = false;
  owner[method] = function (this: object, ...args) {
    if (thrown || !applies(this)) return original.apply(this, args);
    thrown = true;
    throw new Error(`injected into ${method}`);
  };
  undo.push(() => {
    if (own === undefined) delete owner[method];
    else Object.defineProperty(prototype, method, own);
  });
  return () => thrown;
}

const throwOnceInCounter = (name: string): (() => boolean) =>
  throwOnce(Counter.prototype, 'incWithoutExemplar', (counter) => (counter as { name?: string }).name === name);

async function nothingIsHeld(gateway: Gateway): Promise<void> {
  await atRest(gateway);
  await eventually(async () => {
    const { workers } = (await getJson(gateway, '/workers')) as { workers: { requestsInFlight: number }[] };
    return workers.every(({ requestsInFlight }) => requestsInFlight === 0);
  });
  expect(gateway.router('fake')!.liveBookings).toBe(0);
  gateway.router('fake')!.assertConsistent();
}

/** Pauses between two tokens, so that the client has part of the answer before the end. */
async function slowly(request: Parameters<FakeEngine['behaviour']>[0]): Promise<void> {
  openStream(request);
  sendToken(request, 'a');
  await new Promise((resolve) => setTimeout(resolve, 20));
  sendToken(request, 'b', 'stop');
  endStream(request, 10, 2);
}

/** `whole`: the fault comes too late to affect the client's answer. */
type Told = 'envelope' | 'event' | 'whole';

const places: readonly (readonly [string, () => () => boolean, Told])[] = [
  ['the counter of decisions', () => throwOnceInCounter('kvoyant_decisions_total'), 'envelope'],
  ['the affinity of sessions', () => throwOnce(SessionAffinity.prototype, 'placed'), 'envelope'],
  ['the place at the engine', () => throwOnce(Engine.prototype, 'enter'), 'envelope'],
  ['the router, while it books', () => throwOnce(Router.prototype, 'admit'), 'envelope'],
  ['the log of decisions', () => throwOnce(DecisionLog.prototype, 'add'), 'envelope'],
  ['the head of the answer', () => throwOnce(ClientAnswer.prototype, 'begin'), 'envelope'],
  ['the observer of the stream', () => throwOnce(StreamObserver.prototype, 'push'), 'envelope'],
  ['the lease, told of tokens', () => throwOnce(BookingLease.prototype, 'tokens'), 'envelope'],
  ['the times to first tokens', () => throwOnce(BucketHistogram.prototype, 'record'), 'envelope'],
  ['the answer, written on', () => throwOnce(ClientAnswer.prototype, 'write'), 'event'],
  ['the counter of output tokens', () => throwOnceInCounter('kvoyant_output_tokens_total'), 'whole'],
  ['the counter of prompt tokens', () => throwOnceInCounter('kvoyant_prompt_tokens_total'), 'whole'],
  ['the meaning of the usage', () => throwOnce(Engine.prototype, 'complete'), 'whole'],
  ['the lengths of prompts', () => throwOnce(Pool.prototype, 'learnLengths'), 'whole'],
  ['the counter of requests', () => throwOnceInCounter('kvoyant_requests_total'), 'whole'],
];

describe('an internal error of the gateway', () => {
  for (const [where, inject, told] of places) {
    it(`leaks nothing, and the client gets an error: ${where}`, async () => {
      const engine = await harness.engine();
      engine.behaviour = slowly;
      // Counters read their methods when they are created.
      const happened = inject();
      const gateway = await harness.gateway({ workers: [engine.url], inFlightPerKeyMax: 1 });
      const answer = await post(gateway, path, streamBody);
      expect(happened()).toBe(true);
      if (told === 'envelope') {
        expect(answer.status).toBe(500);
        expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'internal_error', type: 'server_error' } });
      } else {
        expect(answer.status).toBe(200);
        if (told === 'event') expect(answer.body).toContain('"code":"internal_error"');
        else expect(answer.body).toContain('[DONE]');
      }
      await nothingIsHeld(gateway);
      // The key's only place in flight is free again.
      const next = await post(gateway, path, streamBody);
      expect(next.body).toContain('[DONE]');
    });
  }

  it('leaks nothing in answers in one piece and on other routes', async () => {
    const engine = await harness.engine();
    engine.behaviour = ({ response }) => replyJson(response, 200, { id: 'x', choices: [] });
    const gateway = await harness.gateway({ workers: [engine.url], inFlightPerKeyMax: 1 });
    for (const [route, body] of [
      [path, chatBody],
      ['/v1/embeddings', { model: 'fake', input: 'x' }],
      ['/v1/responses', { model: 'fake', input: 'x' }],
    ] as const) {
      throwOnce(ClientAnswer.prototype, 'begin');
      const answer = await post(gateway, route, body);
      expect(answer.status).toBe(500);
      expect(JSON.parse(answer.body)).toMatchObject({ error: { code: 'internal_error' } });
      for (const restore of undo.splice(0)) restore();
      await nothingIsHeld(gateway);
      expect((await post(gateway, route, body)).status).toBe(200);
    }
  });

  it('in the queue fails only the request that it affects', async () => {
    const engine = await harness.engine();
    const pending: (() => void)[] = [];
    engine.behaviour = (request) => void pending.push(() => streamTokens(request, 2));
    const gateway = await harness.gateway({
      workers: [{ url: engine.url, runningRequestsMax: 1 }],
      queue: true,
    });
    const answers = Array.from({ length: 4 }, () => post(gateway, path, streamBody));
    await eventually(() => pending.length === 1);
    const happened = throwOnce(AdmissionMetrics.prototype, 'left');
    for (let served = 0; served < 3; served++) {
      await eventually(() => pending.length > served);
      pending[served]!();
    }
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(happened()).toBe(true);
    expect(statuses).toEqual([200, 200, 200, 500]);
    await nothingIsHeld(gateway);
  });
});

describe('an internal error of a gateway with threads', () => {
  /** Those that happen at the owner of the ledger, when it hears of an answer that a thread relays. */
  const atTheOwner: readonly (readonly [string, () => () => boolean])[] = [
    ['the log of decisions', () => throwOnce(DecisionLog.prototype, 'add')],
    ['the lease, told of tokens', () => throwOnce(BookingLease.prototype, 'tokens')],
    ['the engine that was heard', () => throwOnce(EngineCalls.prototype, 'heard')],
    ['the end of the attempt', () => throwOnce(BookingLease.prototype, 'release')],
    ['the meaning of the usage', () => throwOnce(Engine.prototype, 'complete')],
    ['the counters of requests', () => throwOnce(GatewayMetrics.prototype, 'modelLabel')],
  ];

  it('leaks nothing, and ends neither the process nor other requests', async () => {
    const engine = await harness.engine();
    engine.behaviour = slowly;
    const settings = { workers: [engine.url], threads: 2, tokenizer: 'builtin', trustTokenizer: true } as const;
    const gateway = await harness.gateway({ ...settings, inFlightPerKeyMax: 1, logLevel: 'silent' });
    await eventually(async () => {
      await post(gateway, path, streamBody);
      return /thread_requests_total\{by="thread"\} [1-9]/.test(
        await (await fetch(`${gateway.adminUrl}/metrics`)).text(),
      );
    }, 60_000);
    for (const [where, inject] of atTheOwner) {
      const happened = inject();
      await post(gateway, path, streamBody);
      await eventually(happened);
      for (const restore of undo.splice(0)) restore();
      await nothingIsHeld(gateway);
      expect((await post(gateway, path, streamBody)).body, where).toContain('[DONE]');
      expect(unhandled, where).toEqual([]);
    }
  }, 120_000);
});

describe('an impossible usage', () => {
  const usages = [
    { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: -5 } },
    { prompt_tokens: -1, completion_tokens: 2 },
    { prompt_tokens: 10, completion_tokens: 1e15 },
    { prompt_tokens: 10, completion_tokens: -3 },
    { prompt_tokens: 10, completion_tokens: 2.5 },
    { prompt_tokens: '10', completion_tokens: 2 },
    { prompt_tokens: 10, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 11 } },
  ];

  for (const usage of usages) {
    it(`is passed on, ignored and counted: ${JSON.stringify(usage)}`, async () => {
      const engine = await harness.engine();
      const gateway = await harness.gateway({ workers: [engine.url], inFlightPerKeyMax: 1 });
      engine.behaviour = (request) => {
        openStream(request);
        sendToken(request, 'a', 'stop');
        request.response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
      };
      const body = { ...streamBody, stream_options: { include_usage: true } };
      const streamed = await post(gateway, path, body);
      expect(streamed.body).toContain(JSON.stringify(usage));
      expect(streamed.body).toContain('[DONE]');
      engine.behaviour = ({ response }) => replyJson(response, 200, { choices: [], usage });
      expect((await post(gateway, path, chatBody)).status).toBe(200);
      await nothingIsHeld(gateway);
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      expect(metrics).toContain('kvoyant_malformed_usages_total 2');
      expect(metrics).toContain('kvoyant_prompt_tokens_total 0');
    });
  }
});
