// Late binding on a whole gateway: an engine with enough prefill gets no more, and the rest waits in order at the gateway.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/gateway/index.ts';
import { type FakeEngine, type FakeRequest, replyWhole, streamTokens } from './fake-engine.ts';
import { type Answer, eventually, getJson, Harness, post } from './harness.ts';

let harness: Harness;
let engine: FakeEngine;
/** Requests at the engine that have no token yet, oldest first. */
let pending: FakeRequest[];
beforeEach(async () => {
  harness = new Harness();
  pending = [];
  engine = await harness.engine();
  engine.behaviour = (request) => pending.push(request);
});
afterEach(() => harness.end());

const longTokens = 4000;
let first = 0;

function ask(gateway: Gateway, tokens: number, headers: Record<string, string> = {}, stream = true): Promise<Answer> {
  const number = first++;
  const prompt = Array.from({ length: tokens }, (_, i) => (number * 997 + i) % 50_000);
  return post(gateway, '/v1/completions', { model: 'fake', prompt, stream, max_tokens: 3 }, headers);
}

async function waiting(gateway: Gateway): Promise<number> {
  const { queues } = (await getJson(gateway, '/loads')) as { queues: readonly { waiting: number }[] };
  return queues[0]!.waiting;
}

const lengthOf = (request: FakeRequest): number => (JSON.parse(request.body) as { prompt: number[] }).prompt.length;

/** The engine computes the oldest request. */
async function compute(): Promise<void> {
  await streamTokens(pending.shift()!, 3);
}

/** Two long prompts are at the engine: one that it computes, and the next. */
async function busy(gateway: Gateway): Promise<Promise<Answer>[]> {
  const answers = [ask(gateway, longTokens), ask(gateway, longTokens)];
  await eventually(() => pending.length === 2);
  return answers;
}

describe('late binding', () => {
  it('holds what the engine could not start, and sends the most urgent as it computes', async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true });
    const answers = await busy(gateway);
    for (const [tokens, headers] of [
      [3999, {}],
      [100, {}],
      [3998, { 'x-kvoyant-ttft-ms': '60000' }],
      [3997, { 'x-kvoyant-priority': '-1' }],
    ] as const) {
      answers.push(ask(gateway, tokens, headers));
      await eventually(async () => (await waiting(gateway)) === answers.length - 2);
    }
    expect(pending).toHaveLength(2);
    const order: number[] = [];
    for (let sent = 2; sent < 6; sent++) {
      await compute();
      await eventually(() => pending.length === 2);
      order.push(lengthOf(pending[1]!));
    }
    expect(order.slice(0, 2)).toEqual([3997, 100]);
    expect(order.slice(2).sort()).toEqual([3998, 3999]);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect(await waiting(gateway)).toBe(0);
  });

  it('drops a held request whose client leaves, and keeps the limit of the queue', async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true, queuedRequestsMax: 1 });
    const answers = await busy(gateway);
    const controller = new AbortController();
    const prompt = Array.from({ length: longTokens }, (_, i) => i);
    const gone = fetch(`${gateway.url}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'fake', prompt, stream: true }),
      headers: { 'content-type': 'application/json' },
      signal: controller.signal,
    }).catch((error: Error) => error.name);
    await eventually(async () => (await waiting(gateway)) === 1);
    const { status, body } = await ask(gateway, longTokens);
    expect([status, JSON.parse(body).error.code]).toEqual([429, 'queue_full']);
    controller.abort();
    expect(await gone).toBe('AbortError');
    await eventually(async () => (await waiting(gateway)) === 0);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    expect(engine.requests).toHaveLength(2);
  });

  it('goes on behind answers in one piece, whose first token nobody sees', async () => {
    const gateway = await harness.gateway({ workers: [engine.url], lateBinding: true });
    const whole = [ask(gateway, longTokens, {}, false), ask(gateway, longTokens, {}, false)];
    await eventually(() => pending.length === 2);
    const held = ask(gateway, longTokens, {}, false);
    // The estimate says that the first two are computed; no token has come.
    await eventually(() => pending.length === 3, 20_000);
    for (const request of pending.splice(0)) replyWhole(request, 'fine');
    for (const { status } of await Promise.all([...whole, held])) expect(status).toBe(200);
  });

  it('is off by default: everything goes to the engine', async () => {
    const gateway = await harness.gateway({ workers: [engine.url] });
    const answers = await busy(gateway);
    answers.push(ask(gateway, longTokens), ask(gateway, longTokens));
    await eventually(() => pending.length === 4);
    while (pending.length > 0) await compute();
    for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
  });

  it('needs the queue', async () => {
    await expect(harness.gateway({ workers: [engine.url], lateBinding: true, queue: false })).rejects.toThrow(
      /needs the queue/,
    );
  });
});
