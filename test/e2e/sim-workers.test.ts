import OpenAI, { NotFoundError } from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { clientIdOf } from '../../src/gateway/engines/client-id.ts';
import type { Gateway } from '../../src/gateway/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { freePort } from './free-port.ts';
import { atRest, eventually, getJson, Harness, loads, post } from './harness.ts';

const model = 'sim-e2e';
/** At least 16 tokens per sentence, so that a few sentences fill blocks. */
const sentence = 'The quick brown fox jumps over the lazy dog while seven wizards watch the moon rise again. ';

let fleet: SimWorkers;
let harness: Harness;
let gateway: Gateway;
let client: OpenAI;

beforeAll(async () => {
  // Restarted on the same ports.
  const [port, kvEventsPort] = [await freePort(2), await freePort(2)];
  fleet = await startSimWorkers({ count: 2, port, kvEventsPort, model, speedup: 50, blocks: 2000 });
});
afterAll(async () => {
  await fleet.close();
});
beforeEach(async () => {
  await fleet.restart();
  harness = new Harness();
  gateway = await harness.gateway(
    { workers: fleet.workers.map(({ url }) => url), tokenizer: 'builtin' },
    fleet.workers.length,
    [model],
  );
  // Answers are as long as max_tokens allows, instead of a length that the simulated model draws.
  const defaultHeaders = { 'x-mock-output-len': '1000000' };
  client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none', maxRetries: 0, defaultHeaders });
});
afterEach(async () => {
  await harness.end();
});

interface DecisionsAnswer {
  readonly decisions: readonly {
    readonly worker: string;
    readonly overlapTokens: number;
    readonly isl: number;
    readonly actualPromptTokens: number | null;
    readonly actualCachedTokens: number | null;
    readonly outputTokens: number | null;
    readonly outcome: string;
  }[];
}

async function decisions(): Promise<DecisionsAnswer['decisions']> {
  return ((await getJson(gateway, '/decisions')) as DecisionsAnswer).decisions;
}

describe('the official client', () => {
  it('lists models, and completes whole and streamed', async () => {
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual([model]);

    const whole = await client.completions.create({ model, prompt: sentence, max_tokens: 8 });
    expect(whole.usage?.completion_tokens).toBe(8);
    expect(whole.choices[0]!.text).not.toBe('');

    const stream = await client.completions.create({ model, prompt: sentence, max_tokens: 8, stream: true });
    let text = '';
    let finish: string | null = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.text ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    expect(text).not.toBe('');
    expect(finish).toBe('length');
  });

  it("chats whole and streamed, and the gateway counts the engine's tokens", async () => {
    const messages = [{ role: 'user' as const, content: sentence.repeat(4) }];
    const whole = await client.chat.completions.create({ model, messages, max_tokens: 12 });
    expect(whole.choices[0]!.message.role).toBe('assistant');
    const stream = await client.chat.completions.create({
      model,
      messages,
      max_tokens: 20,
      stream: true,
      stream_options: { include_usage: true },
    });
    let content = '';
    for await (const chunk of stream) content += chunk.choices[0]?.delta.content ?? '';
    expect(content).not.toBe('');
    await eventually(async () => (await decisions()).every(({ outcome }) => outcome === 'done'));
    const [streamed, first] = await decisions();
    expect(first).toMatchObject({ outputTokens: 12, overlapTokens: 0, actualCachedTokens: 0 });
    expect(streamed!.outputTokens).toBe(20);
    expect(streamed!.isl).toBe(streamed!.actualPromptTokens);
    expect(streamed!.overlapTokens).toBe(streamed!.actualCachedTokens);
    expect(streamed!.overlapTokens).toBeGreaterThan(48);
    expect(streamed!.worker).toBe(first!.worker);
  });

  it('gets responses, streamed and whole: what is cached of a conversation is predicted to the token', async () => {
    const input: OpenAI.Responses.ResponseInput = [{ role: 'user', content: sentence.repeat(4) }];
    const instructions = 'Be brief, and say nothing that was not asked for.';
    const first = await client.responses.create({ model, instructions, input, max_output_tokens: 12 });
    expect(first.usage?.output_tokens).toBe(12);
    input.push({ role: 'assistant', content: first.output_text }, { role: 'user', content: `And then? ${sentence}` });
    let text = '';
    const wish = { model, instructions, input, max_output_tokens: 20, stream: true } as const;
    for await (const event of await client.responses.create(wish)) {
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).not.toBe('');
    await eventually(async () => (await decisions()).every(({ outcome }) => outcome === 'done'));
    const [streamed, whole] = await decisions();
    expect([whole!.outputTokens, streamed!.outputTokens]).toEqual([12, 20]);
    for (const decided of [streamed!, whole!]) {
      expect(decided.isl).toBe(decided.actualPromptTokens);
      expect(decided.overlapTokens).toBe(decided.actualCachedTokens);
    }
    expect(streamed!.overlapTokens).toBeGreaterThan(48);
    expect(streamed!.worker).toBe(whole!.worker);
  });

  it('gets several choices and several prompts', async () => {
    const answer = await client.completions.create({
      model,
      prompt: [sentence, `again ${sentence}`],
      n: 2,
      max_tokens: 5,
    });
    expect(answer.choices.map(({ index }) => index).sort()).toEqual([0, 1, 2, 3]);
    const stream = await client.completions.create({
      model,
      prompt: [sentence, 'x'],
      n: 2,
      max_tokens: 5,
      stream: true,
    });
    const seen = new Set<number>();
    for await (const { choices } of stream) for (const { index } of choices) seen.add(index);
    expect([...seen].sort()).toEqual([0, 1, 2, 3]);
  });

  it("sees errors in OpenAI's form", async () => {
    const unknown = client.chat.completions.create({ model: 'nope', messages: [{ role: 'user', content: 'x' }] });
    await expect(unknown).rejects.toThrow(NotFoundError);
    await expect(unknown).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    const tooLong = client.completions.create({ model, prompt: 'x', max_tokens: 1_000_000 });
    await expect(tooLong).rejects.toMatchObject({ status: 400 });
  });

  it('aborts a stream, and the engine stops', async () => {
    const stream = await client.completions.create({ model, prompt: sentence, max_tokens: 20_000, stream: true });
    let chunks = 0;
    for await (const _chunk of stream) {
      chunks += 1;
      stream.controller.abort();
      break;
    }
    await atRest(gateway);
    await eventually(() =>
      fleet.workers.every(({ runtime }) => runtime!.engine.runningCount + runtime!.engine.waitingCount === 0),
    );
    expect(chunks).toBe(1);
  });
});

describe('over simulated engines', () => {
  it('predicts exactly what the engines find in their caches', async () => {
    const groups = Array.from({ length: 4 }, (_, group) => `${group} ${sentence.repeat(6)}`);
    for (let round = 0; round < 3; round++) {
      for (const [group, shared] of groups.entries()) {
        const prompt = `${shared} question ${round} of group ${group}: ${sentence}`;
        await client.completions.create({ model, prompt, max_tokens: 4 });
        // The event of a short answer's last block may arrive after the answer.
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }
    const made = await decisions();
    expect(made).toHaveLength(12);
    for (const { overlapTokens, actualCachedTokens, isl, actualPromptTokens } of made) {
      expect(isl).toBe(actualPromptTokens);
      expect(overlapTokens).toBe(actualCachedTokens);
    }
    expect(made.filter(({ overlapTokens }) => overlapTokens > 0)).toHaveLength(8);
  });

  it('serves a burst of 200 at once, each group on one worker', async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => {
        const prompt = `group ${i % 8}: ${sentence.repeat(10)} request ${i}`;
        return post(gateway, '/v1/completions', { model, prompt, max_tokens: 16, stream: true });
      }),
    );
    expect(answers.filter(({ status, body }) => status !== 200 || !body.endsWith('data: [DONE]\n\n'))).toEqual([]);
    const workersOfGroup = new Map<number, Set<string>>();
    for (const [i, { headers }] of answers.entries()) {
      const workers = workersOfGroup.get(i % 8) ?? new Set();
      workersOfGroup.set(i % 8, workers.add(String(headers['x-kvoyant-worker'])));
    }
    const homes = [...workersOfGroup.values()].map(({ size }) => size);
    expect(Math.min(...homes)).toBe(1);
    await atRest(gateway);
  });

  it('survives the crash of an engine, and drops its known blocks when it returns', async () => {
    const prompt = sentence.repeat(8);
    await client.completions.create({ model, prompt, max_tokens: 4 });
    const [first] = await decisions();
    const index = fleet.workers.findIndex(({ url }) => first!.worker.startsWith(url));
    await eventually(async () => (await loads(gateway)).workers.some(({ heldBlocks }) => heldBlocks > 0));
    await fleet.kill(index);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => post(gateway, '/v1/completions', { model, prompt, max_tokens: 4 })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200));
    await fleet.start(index);
    await gateway.whenReady(10_000);
    const back = (await loads(gateway)).workers.find(({ id }) => id === first!.worker)!;
    expect(back).toMatchObject({ heldBlocks: 0, runningRequests: 0 });
    expect(back.viewEpoch).toBeGreaterThan(0);
    await client.completions.create({ model, prompt: `new ${prompt}`, max_tokens: 4 });
  });

  it('learns cached blocks from events of requests that it did not route', async () => {
    const prompt = `direct ${sentence.repeat(8)}`;
    const direct = fleet.workers[1]!;
    await fetch(`${direct.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, prompt, max_tokens: 4 }),
    }).then((response) => response.json());
    await eventually(async () => (await loads(gateway)).workers.some(({ heldBlocks }) => heldBlocks >= 8));
    const answer = await post(gateway, '/v1/completions', { model, prompt, max_tokens: 4 });
    expect(answer.headers['x-kvoyant-worker']).toBe(`${clientIdOf(direct.url)}#0`);
    expect(Number(answer.headers['x-kvoyant-overlap-tokens'])).toBeGreaterThanOrEqual(128);
  });
});

describe('without a tokenizer', () => {
  it('finds shared prefixes by their bytes, and learns the bytes per token', async () => {
    const options = { workers: fleet.workers.map(({ url }) => url), tokenizer: 'none' };
    const plain = await harness.gateway(options, fleet.workers.length, [model]);
    const prompt = sentence.repeat(20);
    const first = await post(plain, '/v1/completions', { model, prompt, max_tokens: 4 });
    const second = await post(plain, '/v1/completions', { model, prompt, max_tokens: 4 });
    expect(second.headers['x-kvoyant-worker']).toBe(first.headers['x-kvoyant-worker']);
    expect(Number(second.headers['x-kvoyant-overlap-tokens'])).toBeGreaterThan(200);
    const { workers } = (await getJson(plain, '/workers')) as {
      workers: { source: string; feed: unknown; eventsOffered: unknown }[];
    };
    for (const worker of workers)
      expect(worker).toMatchObject({ source: 'approximate', feed: null, eventsOffered: expect.any(Object) });
  });
});

describe('with no settings but the workers', () => {
  it('gets token ids from the engines, and their KV events match', async () => {
    const workers = fleet.workers.map(({ url }) => url);
    const plain = await harness.gateway({ workers }, workers.length, [model]);
    const shown = (await getJson(plain, '/workers')) as { workers: object[] };
    for (const worker of shown.workers) {
      expect(worker).toMatchObject({
        source: 'events',
        tokenizer: { text: 'asked', chat: 'asked' },
        tokensFrom: { text: 'engine', chat: 'engine' },
      });
    }
    const body = { model, messages: [{ role: 'user', content: sentence.repeat(8) }], max_tokens: 4 };
    const first = await post(plain, '/v1/chat/completions', body);
    await eventually(async () => (await loads(plain)).workers.some(({ heldBlocks }) => heldBlocks >= 8));
    const longer = { ...body, messages: [...body.messages, { role: 'assistant', content: 'Yes.' }, ...body.messages] };
    const second = await post(plain, '/v1/chat/completions', longer);
    expect(second.headers['x-kvoyant-worker']).toBe(first.headers['x-kvoyant-worker']);
    const pin = { 'x-kvoyant-pin': String(first.headers['x-kvoyant-worker']) };
    await post(plain, '/v1/chat/completions', { ...body, prompt_logprobs: 1 }, pin);
    const { decisions: records } = (await getJson(plain, '/decisions')) as DecisionsAnswer;
    for (const { isl, actualPromptTokens, overlapTokens, actualCachedTokens } of records) {
      expect([isl, overlapTokens]).toEqual([actualPromptTokens, actualCachedTokens]);
    }
    expect(records.map(({ overlapTokens }) => overlapTokens > 128)).toEqual([false, true, false]);
  });
});
