// The official OpenAI client with simulated engines: directly, and through the gateway.

import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { constantStepTime } from '../../src/sim/index.ts';
import { type SimWorkers, startSimWorkers } from '../../src/worker/index.ts';
import { Harness } from './harness.ts';

const model = 'sim';
const harness = new Harness();
let fleet: SimWorkers;
const urls: Record<string, string> = {};
beforeAll(async () => {
  fleet = await startSimWorkers({ port: 0, model, stepTime: constantStepTime(1), apiOverheadMs: 0 });
  const workers = fleet.workers.map(({ url }) => url);
  const gateway = await harness.gateway({ workers, tokenizer: 'builtin' }, 1, [model]);
  urls['directly'] = workers[0]!;
  urls['through the gateway'] = gateway.url;
});
afterAll(async () => {
  await harness.end();
  await fleet.close();
});

const weather = {
  name: 'get_weather',
  description: 'weather of a place',
  parameters: {
    type: 'object',
    properties: { place: { type: 'string' }, unit: { enum: ['C', 'F'] } },
    required: ['place', 'unit'],
    additionalProperties: false,
  },
};
const weatherArguments = z.strictObject({ place: z.string(), unit: z.enum(['C', 'F']) });
const chatTools = [{ type: 'function' as const, function: weather }];
const responseTools = [{ type: 'function' as const, strict: true, ...weather }];
const messages = [{ role: 'user' as const, content: 'Will it rain?' }];

describe.each(['directly', 'through the gateway'])('the openai client, %s', (way) => {
  let client: OpenAI;
  beforeAll(() => {
    client = new OpenAI({ baseURL: `${urls[way]}/v1`, apiKey: 'none', maxRetries: 0 });
  });

  describe('chat completions', () => {
    it('return logprobs, whole and streamed, for the same answer', async () => {
      const request = { model, messages, max_tokens: 20, logprobs: true, top_logprobs: 3 } as const;
      const whole = await client.chat.completions.create(request, { headers: { 'x-request-id': 'one' } });
      const tokens = whole.choices[0]!.logprobs!.content!;
      expect(tokens.length).toBe(whole.usage!.completion_tokens);
      for (const { token, logprob, bytes, top_logprobs: top } of tokens) {
        expect(top).toHaveLength(3);
        expect(top[0]).toMatchObject({ token, logprob });
        expect(top.reduce((sum, one) => sum + Math.exp(one.logprob), 0)).toBeLessThan(1);
        if (bytes !== null) expect(Buffer.from(bytes).toString()).toBe(token);
      }
      const streamed: unknown[] = [];
      const stream = await client.chat.completions.create(
        { ...request, stream: true },
        { headers: { 'x-request-id': 'one' } },
      );
      for await (const chunk of stream) streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
      expect(streamed).toEqual(tokens);
    });

    it('call a tool, whole and streamed, and answer in words after its result', async () => {
      const whole = await client.chat.completions.create({ model, messages, tools: chatTools });
      const [call] = whole.choices[0]!.message.tool_calls!;
      expect(whole.choices[0]).toMatchObject({ finish_reason: 'tool_calls', message: { content: null } });
      if (call?.type !== 'function') throw new Error('no call of a function');
      expect(call.function.name).toBe('get_weather');
      weatherArguments.parse(JSON.parse(call.function.arguments));

      const stream = client.chat.completions.stream({ model, messages, tools: chatTools, tool_choice: 'required' });
      const final = await stream.finalChatCompletion();
      const [streamed] = final.choices[0]!.message.tool_calls!;
      if (streamed?.type !== 'function') throw new Error('no call of a function');
      expect(final.choices[0]!.finish_reason).toBe('tool_calls');
      expect(streamed.id).toMatch(/^call_/);
      weatherArguments.parse(JSON.parse(streamed.function.arguments));

      const more = await client.chat.completions.create({
        model,
        tools: chatTools,
        messages: [...messages, whole.choices[0]!.message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }],
      });
      expect(more.choices[0]!.finish_reason).toBe('stop');
      expect(more.choices[0]!.message.content).toMatch(/\w/);
    });

    it('call the named tool, and none if the client wants none', async () => {
      const tools = [...chatTools, { type: 'function' as const, function: { name: 'now' } }];
      const named = { type: 'function' as const, function: { name: 'now' } };
      const { choices } = await client.chat.completions.create({ model, messages, tools, tool_choice: named });
      expect(choices[0]!.message.tool_calls).toMatchObject([{ function: { name: 'now', arguments: '{}' } }]);
      expect(choices[0]!.finish_reason).toBe('stop');
      const none = await client.chat.completions.create({ model, messages, tools, tool_choice: 'none' });
      expect(none.choices[0]!.message.tool_calls).toBeUndefined();
    });

    it('answer with JSON, by a schema or freely', async () => {
      const own = await client.chat.completions.create({ model, messages, response_format: { type: 'json_object' } });
      expect(JSON.parse(own.choices[0]!.message.content!)).toBeTypeOf('object');
      const schema = { type: 'object', properties: { größe: { type: 'integer', minimum: 3 } }, required: ['größe'] };
      const format = { type: 'json_schema' as const, json_schema: { name: 'size', schema } };
      const bySchema = await client.chat.completions.create({ model, messages, response_format: format, n: 2 });
      for (const { message, finish_reason: finish } of bySchema.choices) {
        z.object({ größe: z.int().min(3) }).parse(JSON.parse(message.content!));
        expect(finish).toBe('stop');
      }
      const stream = client.chat.completions.stream({ model, messages, response_format: format });
      z.object({ größe: z.int().min(3) }).parse(JSON.parse((await stream.finalContent())!));
    });

    it('end JSON at max_tokens', async () => {
      const format = { type: 'json_object' as const };
      const { choices, usage } = await client.chat.completions.create({
        model,
        messages,
        response_format: format,
        max_tokens: 3,
      });
      expect([choices[0]!.finish_reason, usage!.completion_tokens]).toEqual(['length', 3]);
    });
  });

  it('completions return logprobs with offsets into the text', async () => {
    const { choices } = await client.completions.create({ model, prompt: 'once', max_tokens: 12, logprobs: 2 });
    const { text, logprobs } = choices[0]!;
    expect(logprobs!.tokens).toHaveLength(logprobs!.token_logprobs!.length);
    for (const [at, token] of logprobs!.tokens!.entries()) {
      if (token !== '\ufffd') expect(text.slice(logprobs!.text_offset![at]).startsWith(token)).toBe(true);
    }
    expect(Object.keys(logprobs!.top_logprobs![0]!).length).toBeGreaterThan(0);
    const offsets: number[] = [];
    let sent = '';
    const stream = await client.completions.create({
      model,
      prompt: 'once',
      max_tokens: 12,
      logprobs: 0,
      stream: true,
    });
    for await (const {
      choices: [chunk],
    } of stream) {
      if (chunk?.logprobs?.text_offset?.[0] === sent.length) offsets.push(sent.length);
      sent += chunk?.text ?? '';
    }
    expect(offsets.length).toBeGreaterThan(0);
  });

  it('embeddings have length 1, and are the same for the same text', async () => {
    const create = (input: string[], dimensions?: number) =>
      client.embeddings.create({ model, input, ...(dimensions === undefined ? {} : { dimensions }) });
    const { data, usage } = await create(['a red house', 'a red house', 'a red car', 'numbers 1234']);
    const [one, again, near, far] = data.map(({ embedding }) => embedding);
    const dot = (a: number[], b: number[]): number => a.reduce((sum, value, at) => sum + value * b[at]!, 0);
    expect(again).toEqual(one);
    expect(dot(one!, one!)).toBeCloseTo(1, 5);
    expect(dot(one!, near!)).toBeGreaterThan(dot(one!, far!));
    expect(usage.prompt_tokens).toBeGreaterThan(8);
    const asked = await client.embeddings.create({ model, input: 'x', dimensions: 12, encoding_format: 'float' });
    expect(asked.data[0]!.embedding).toHaveLength(12);
  });

  describe('responses', () => {
    it('arrive whole, and as a stream that adds up to the same', async () => {
      const request = { model, input: 'Tell me a story', instructions: 'be brief', max_output_tokens: 30 };
      const headers = { 'x-request-id': 'story' };
      const whole = await client.responses.create(request, { headers });
      expect(whole).toMatchObject({ object: 'response', instructions: 'be brief', error: null });
      expect(whole.output_text.length).toBeGreaterThan(20);
      const { usage } = whole;
      expect(usage!.input_tokens + usage!.output_tokens).toBe(usage!.total_tokens);
      const types: string[] = [];
      const stream = client.responses.stream(request, { headers }).on('event', ({ type }) => types.push(type));
      const final = await stream.finalResponse();
      expect(final.output_text).toBe(whole.output_text);
      expect(final.id).toBe(whole.id);
      expect(types.slice(0, 4)).toEqual([
        'response.created',
        'response.in_progress',
        'response.output_item.added',
        'response.content_part.added',
      ]);
      expect(types.at(-1)).toBe(whole.status === 'completed' ? 'response.completed' : 'response.incomplete');
    });

    it('report that they were cut', async () => {
      const cut = await client.responses.create({ model, input: 'x', max_output_tokens: 1, stream: false });
      expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
    });

    it('call a tool, and answer in words after its result', async () => {
      const input = [{ role: 'user' as const, content: [{ type: 'input_text' as const, text: 'Will it rain?' }] }];
      const whole = await client.responses.create({ model, input, tools: responseTools });
      const stream = client.responses.stream({ model, input, tools: responseTools, tool_choice: 'required' });
      for (const { output } of [whole, await stream.finalResponse()]) {
        const [call] = output;
        if (call?.type !== 'function_call') throw new Error('no call of a function');
        weatherArguments.parse(JSON.parse(call.arguments));
      }
      const [call] = whole.output;
      if (call?.type !== 'function_call') throw new Error('no call of a function');
      const result = { type: 'function_call_output' as const, call_id: call.call_id, output: 'sunny' };
      const more = await client.responses.create({ model, tools: responseTools, input: [...input, call, result] });
      expect(more.output[0]!.type).toBe('message');
      expect(more.output_text).toMatch(/\w/);
    });

    it('follow a schema', async () => {
      const format = { type: 'json_schema' as const, name: 'w', schema: weather.parameters };
      const { output_text: text } = await client.responses.create({ model, input: 'x', text: { format } });
      expect(weatherArguments.safeParse(JSON.parse(text))).toMatchObject({ success: true });
    });
  });

  it.each<[string, object]>([
    ['/chat/completions', { messages, logprobs: true, top_logprobs: 1_000_000 }],
    ['/chat/completions', { messages, top_logprobs: 2 }],
    ['/chat/completions', { messages, tools: [{ type: 'function' }] }],
    ['/chat/completions', { messages, tools: Array.from({ length: 200 }, () => chatTools[0]) }],
    ['/chat/completions', { messages, tool_choice: 'required' }],
    [
      '/chat/completions',
      { messages, tools: chatTools, tool_choice: { type: 'function', function: { name: 'other' } } },
    ],
    ['/chat/completions', { messages, response_format: { type: 'yaml' } }],
    [
      '/chat/completions',
      { messages, response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { pattern: '(a+)+$' } } } },
    ],
    ['/completions', { prompt: 'x', logprobs: 21 }],
    ['/embeddings', { input: 'x', dimensions: 1_000_000 }],
    ['/embeddings', { input: [] }],
    ['/responses', { input: 'x', previous_response_id: 'resp_1' }],
    ['/responses', { input: [{ type: 'computer_call' }] }],
    ['/responses', { input: 'x', max_output_tokens: 0 }],
  ])('refuses at %s with 400: %j', async (path, body) => {
    await expect(client.post(path, { body: { model, ...body } })).rejects.toMatchObject({
      status: 400,
      message: expect.stringMatching(/\w{3}/),
    });
  });
});
