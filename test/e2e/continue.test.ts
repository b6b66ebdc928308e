import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import {
  chat,
  dying,
  error,
  going,
  interruptions,
  reset,
  seenIn,
  sendFirst,
  thenResets,
  write,
} from './broken-stream.ts';
import {
  endStream,
  type FakeEngine,
  type FakeRequest,
  openStream,
  replyJson,
  replyTokens,
  sendToken,
  streamTokens,
} from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, loads, post } from './harness.ts';

let harness: Harness;
beforeEach(() => {
  harness = new Harness();
});
afterEach(() => harness.end());

interface Cluster {
  readonly gateway: Gateway;
  readonly engines: readonly FakeEngine[];
}

interface ClusterOptions extends GatewayOptions {
  readonly ownedBy?: string;
  readonly tokenize?: FakeEngine['tokenize'];
  /** Default: one for each behaviour. */
  readonly engineCount?: number;
  /** Of each engine. */
  readonly runningRequestsMax?: number;
}

/** The first request goes to the engine that dies. */
async function cluster(
  behaviours: readonly ((request: FakeRequest) => unknown)[],
  {
    ownedBy = 'vllm',
    runningRequestsMax,
    engineCount = behaviours.length,
    tokenize = null,
    ...options
  }: ClusterOptions = {},
): Promise<Cluster> {
  const engines = await harness.engines(engineCount, { ownedBy });
  let next = 0;
  for (const engine of engines) {
    engine.tokenize = tokenize;
    engine.behaviour = (request) => behaviours[Math.min(next++, behaviours.length - 1)]!(request);
  }
  const workers = engines.map(({ url }) => ({ url, ...(runningRequestsMax !== undefined && { runningRequestsMax }) }));
  const gateway = await harness.gateway({ workers, continue: true, tokenizer: 'none', ...options }, engineCount);
  return { gateway, engines };
}

const usage = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };

describe('a chat whose engine', () => {
  it.each<[string, (request: FakeRequest) => void]>([
    ['resets the connection', reset],
    ['ends the connection', ({ response }) => void response.end()],
    ['stops within an event', thenResets('data: {"id":"chatcmpl-first","cho')],
    ['reports an error', write(error)],
    ['sends garbage', write('data: not json\n\n')],
    ['sends a list', write('data: []\n\n')],
    ['sends a choice that is none', write('data: {"choices":[null]}\n\n')],
    [
      'aborts',
      write('data: {"choices":[{"index":0,"delta":{"content":""},"finish_reason":"abort"}]}\n\ndata: [DONE]\n\n'),
    ],
  ])('%s goes on at another one', async (_, end) => {
    const { gateway, engines } = await cluster([dying(end), going]);
    const answer = await post(gateway, '/v1/chat/completions', chat);
    expect(answer.headers['x-kvoyant-continue']).toBe('yes');
    expect(seenIn(answer)).toMatchObject({
      ...{ text: 'Hello world', ids: ['chatcmpl-first 7'], roles: 1, finish: ['stop'], errors: [], ends: 1 },
      usage: [usage],
    });
    expect(answer.body).toContain('\n\n: another engine goes on\n\n');
    const [asked] = engines.flatMap(({ requests }) => requests.filter(({ body }) => body.includes('continue_final')));
    expect(JSON.parse(asked!.body)).toEqual({
      ...{ ...chat, max_tokens: 8, continue_final_message: true, add_generation_prompt: false },
      messages: [...chat.messages, { role: 'assistant', content: 'Hello' }],
    });
    expect(await interruptions(gateway)).toEqual(['continued 1']);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: readonly Record<string, unknown>[] };
    expect(decisions.map(({ attempt, continuedTokens, outcome }) => [attempt, continuedTokens, outcome])).toEqual([
      [2, 2, 'done'],
      [1, null, 'failed'],
    ]);
  });

  it('goes silent and does not answer its health check goes on at another one', async () => {
    const { gateway, engines } = await cluster([dying(() => undefined), going]);
    const answering = post(gateway, '/v1/chat/completions', chat);
    await eventually(() => engines.some(({ requests }) => requests.length === 1));
    const hanging = engines.find(({ requests }) => requests.length === 1)!;
    hanging.health = () => undefined;
    expect(seenIn(await answering)).toMatchObject({ text: 'Hello world', errors: [], ends: 1 });
  });

  it('dies goes on twice if the second one dies too', async () => {
    const { gateway } = await cluster([dying(reset), dying(reset), going]);
    const { text, ids, roles, errors, usage: told } = seenIn(await post(gateway, '/v1/chat/completions', chat));
    // The second engine counts the first one's text as its prompt, and begins its own with the same words.
    expect([text, ids, roles, errors]).toEqual(['HelloHello world', ['chatcmpl-first 7'], 1, []]);
    expect(told).toMatchObject([{ completion_tokens: 6 }]);
    expect(await interruptions(gateway)).toEqual(['continued 2']);
  });

  it('dies ends with an error after four engines', async () => {
    const { gateway } = await cluster(Array.from({ length: 8 }, () => dying(reset)));
    const { text, errors } = seenIn(await post(gateway, '/v1/chat/completions', { ...chat, max_tokens: 100 }));
    expect([text, errors]).toEqual(['HelloHelloHelloHello', ['the engine broke off its answer']]);
    expect(await interruptions(gateway)).toEqual(['continued 3', 'not_continuable attempts 1']);
  });
});

describe('a stream that can not be continued ends as without the setting', () => {
  const cut = ['the engine broke off its answer'];

  it('if it is off, and no header says anything', async () => {
    const { gateway } = await cluster([dying(reset), going], { continue: false });
    const answer = await post(gateway, '/v1/chat/completions', chat);
    expect(answer.headers['x-kvoyant-continue']).toBeUndefined();
    expect(seenIn(answer)).toMatchObject({ text: 'Hello', errors: cut });
    expect(await interruptions(gateway)).toEqual([]);
  });

  it.each<[string, object]>([
    ['n', { n: 2 }],
    ['logprobs', { logprobs: true }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['presence_penalty', { presence_penalty: 0.5 }],
    ['tool_choice', { tools: [{ type: 'function' }], tool_choice: 'required' }],
    ['continue_final_message', { continue_final_message: true, add_generation_prompt: false }],
    ['structured_outputs', { structured_outputs: { regex: 'a+' } }],
    ['include_stop_str_in_output', { stop: ['###'], include_stop_str_in_output: true }],
    ['functions', { functions: [{ name: 'f' }] }],
  ])('for its field %s', async (field, fields) => {
    const { gateway } = await cluster([dying(reset), going]);
    const answer = await post(gateway, '/v1/chat/completions', { ...chat, ...fields });
    expect(answer.headers['x-kvoyant-continue']).toBe(`no; ${field}`);
    expect(seenIn(answer)).toMatchObject({ text: 'Hello', errors: cut });
    expect(await interruptions(gateway)).toEqual([]);
  });

  it.each([
    ['reasoning', '{"reasoning":"hm"}'],
    ['reasoning', '{"reasoning_content":"hm"}'],
    ['reasoning', '{"content":"</think>"}'],
    ['tool_calls', '{"tool_calls":[{"index":0,"function":{"name":"f"}}]}'],
    ['character', '{"content":"\ufffd"}'],
  ])('for its %s', async (reason, delta) => {
    const part = `data: {"choices":[{"index":0,"delta":${delta},"finish_reason":null}]}\n\n`;
    const { gateway } = await cluster([dying(thenResets(part)), going]);
    const answer = await post(gateway, '/v1/chat/completions', chat);
    expect(seenIn(answer).errors).toEqual(cut);
    expect(answer.body).toContain(part);
    expect(await interruptions(gateway)).toEqual([`not_continuable ${reason} 1`]);
  });

  it('if the other engine refuses', async () => {
    const refusing = ({ response }: FakeRequest): void => replyJson(response, 400, { error: { message: 'what?' } });
    const { gateway } = await cluster([dying(reset), refusing]);
    const { text, errors, ends } = seenIn(await post(gateway, '/v1/chat/completions', chat));
    expect([text, errors, ends]).toEqual(['Hello', cut, 0]);
    expect(await interruptions(gateway)).toEqual(['refused 1']);
  });

  it.each([
    ['answers in one piece', ({ response }: FakeRequest) => replyJson(response, 200, { choices: [] }), 'refused'],
    ['answers 500', ({ response }: FakeRequest) => replyJson(response, 500, {}), 'failed'],
    ['resets', reset, 'failed'],
  ])('if the other engine %s', async (_, behaviour, outcome) => {
    const { gateway } = await cluster([dying(reset), behaviour]);
    const { text, errors } = seenIn(await post(gateway, '/v1/chat/completions', chat));
    expect([text, errors.length]).toEqual(['Hello', 1]);
    expect(await interruptions(gateway)).toEqual([`${outcome} 1`]);
  });

  it('if the other engine takes the text for a thought', async () => {
    const { gateway } = await cluster([
      dying(reset),
      (request) => {
        openStream(request);
        request.response.write('data: {"choices":[{"index":0,"delta":{"reasoning":"hm"},"finish_reason":null}]}\n\n');
      },
    ]);
    const { text, errors } = seenIn(await post(gateway, '/v1/chat/completions', chat));
    expect([text, errors.length]).toEqual(['Hello', 1]);
    expect(await interruptions(gateway)).toEqual(['failed 1', 'not_continuable reasoning 1']);
  });

  it('if nothing is known of the other engine, which might begin a new message', async () => {
    const { gateway, engines } = await cluster([dying(reset), going], { ownedBy: 'somebody' });
    expect(seenIn(await post(gateway, '/v1/chat/completions', chat))).toMatchObject({ text: 'Hello' });
    expect(engines.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(1);
    expect(await interruptions(gateway)).toEqual(['no_worker 1']);
  });

  it('with the words of the engine itself, if there is no other', async () => {
    const { gateway } = await cluster([dying(write(`${error}data: [DONE]\n\n`))]);
    const answer = await post(gateway, '/v1/chat/completions', chat);
    expect(seenIn(answer)).toMatchObject({ text: 'Hello', errors: ['out of memory'], ends: 1 });
    expect(await interruptions(gateway)).toEqual(['no_worker 1']);
  });
});

describe('a stream that only lacks its end', () => {
  it('gets it from the gateway once it has all its tokens', async () => {
    const { gateway } = await cluster([dying(reset)]);
    const answer = await post(gateway, '/v1/chat/completions', { ...chat, max_tokens: 2 });
    expect(seenIn(answer)).toMatchObject({ text: 'Hello', finish: ['length'], errors: [], ends: 1 });
    expect(seenIn(answer).usage).toMatchObject([{ completion_tokens: 2 }]);
    expect(await interruptions(gateway)).toEqual(['completed 1']);
  });

  it('gets it once it has its reason', async () => {
    const end = 'data: {"choices":[{"index":0,"delta":{"content":"."},"finish_reason":"stop"}]}\n\n';
    const { gateway } = await cluster([dying(thenResets(end))]);
    const answer = await post(gateway, '/v1/chat/completions', { ...chat, stream_options: null });
    expect(seenIn(answer)).toMatchObject({ text: 'Hello.', finish: ['stop'], usage: [], errors: [], ends: 1 });
  });
});

describe('the wait for another engine', () => {
  it('lasts while the others are full, and ends when one has room', async () => {
    const held: FakeRequest[] = [];
    const { gateway, engines } = await cluster(
      [dying((one) => void held.push(one)), (one) => void held.push(one), going],
      { engineCount: 2, runningRequestsMax: 1 },
    );
    const answering = post(gateway, '/v1/chat/completions', chat);
    await eventually(() => held.length === 1);
    const other = post(gateway, '/v1/chat/completions', { ...chatBody, max_tokens: 3 });
    await eventually(() => held.length === 2);
    const [first, second] = held;
    reset(first!);
    await eventually(async () => (await loads(gateway)).workers.some(({ runningRequests }) => runningRequests === 0));
    // The engine that broke off is not asked again, so the stream waits for the other one.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(engines.reduce((sum, { requests }) => sum + requests.length, 0)).toBe(2);
    replyJson(second!.response, 200, { choices: [{ index: 0, message: { content: 'x' }, finish_reason: 'stop' }] });
    expect((await other).status).toBe(200);
    expect(seenIn(await answering)).toMatchObject({ text: 'Hello world', errors: [] });
    expect((await answering).body).toContain(': waiting for another engine\n\n');
  });

  it('ends with the client', async () => {
    const held: FakeRequest[] = [];
    const { gateway } = await cluster([dying((one) => void held.push(one)), (one) => void held.push(one)], {
      runningRequestsMax: 1,
    });
    const client = new AbortController();
    const leaving = fetch(`${gateway.url}/v1/chat/completions`, {
      ...{ method: 'POST', body: JSON.stringify(chat), signal: client.signal },
    }).then((response) => response.text());
    leaving.catch(() => undefined);
    await eventually(() => held.length === 1);
    const other = post(gateway, '/v1/chat/completions', chatBody);
    await eventually(() => held.length === 2);
    reset(held[0]!);
    await new Promise((resolve) => setTimeout(resolve, 100));
    client.abort();
    await eventually(async () => (await interruptions(gateway)).includes('gone 1'));
    replyJson(held[1]!.response, 200, { choices: [] });
    expect((await other).status).toBe(200);
  });
});

describe('the seam', () => {
  const spaced = (space: string) => (request: FakeRequest) => {
    openStream(request);
    sendFirst(request, `Hello${space}`);
    setTimeout(reset, 50, request);
  };
  const repeating = (space: string) => (request: FakeRequest) => {
    openStream(request);
    sendToken(request, space, null);
    sendToken(request, 'world', 'stop');
    endStream(request, 12, 2);
  };

  it.each([
    ['cuts it off', true, '\n', 'Hello\nworld'],
    ['cuts it off, of three bytes', true, '\u3000', 'Hello\u3000world'],
    ['keeps it', false, '\n', 'Hello\n\nworld'],
  ])('has the white space once if the template %s', async (_, trims, space, text) => {
    const tokenize: FakeEngine['tokenize'] = ({ messages, prompt }, response) => {
      const last = (messages as readonly { content: string }[] | undefined)?.at(-1)?.content ?? String(prompt);
      replyTokens(
        response,
        Array.from(trims ? last.trim() : last, (character) => character.codePointAt(0)!),
      );
    };
    const { gateway } = await cluster([spaced(space), repeating(space)], { tokenizer: 'engine', tokenize });
    expect(seenIn(await post(gateway, '/v1/chat/completions', chat)).text).toBe(text);
  });
});

describe('a stream goes on', () => {
  it('under an alias, with a usage that the gateway asked for', async () => {
    const { gateway, engines } = await cluster([dying(reset), going], { models: ['alias=fake'], injectUsage: true });
    const { stream_options: _, ...quiet } = chat;
    const answer = await post(gateway, '/v1/chat/completions', { ...quiet, model: 'alias' });
    expect(seenIn(answer)).toMatchObject({ text: 'Hello world', usage: [], errors: [], ends: 1 });
    const models = engines.flatMap(({ requests }) => requests.map((one) => JSON.parse(one.body).model));
    expect(models).toEqual(['fake', 'fake']);
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: readonly Record<string, unknown>[] };
    expect(decisions[0]).toMatchObject({ attempt: 2, actualPromptTokens: 12, outputTokens: 2 });
  });

  it('with a stop string, and what is left of its tokens', async () => {
    const { gateway, engines } = await cluster([dying(reset), going]);
    const body = { ...chat, stop: ['###'], include_stop_str_in_output: false, min_tokens: 3, max_completion_tokens: 7 };
    expect(seenIn(await post(gateway, '/v1/chat/completions', body)).text).toBe('Hello world');
    const asked = engines.flatMap(({ requests }) => requests.map((one) => JSON.parse(one.body)));
    expect(asked.find(({ continue_final_message: goesOn }) => goesOn)).toMatchObject({
      ...{ stop: ['###'], min_tokens: 1, max_completion_tokens: 5, max_tokens: 8 },
    });
  });

  it('with tools, until it calls one', async () => {
    const { gateway } = await cluster([dying(reset), going]);
    const body = { ...chat, tools: [{ type: 'function', function: { name: 'f' } }] };
    expect(seenIn(await post(gateway, '/v1/chat/completions', body)).text).toBe('Hello world');
  });
});

describe('a completion', () => {
  it('of any engine goes on with its text as the end of the prompt', async () => {
    const say = (request: FakeRequest, text: string, finish: string | null): void => {
      const choices = [{ index: 0, text, finish_reason: finish }];
      write(`data: ${JSON.stringify({ id: 'cmpl-1', created: 1, model: 'fake', choices })}\n\n`)(request);
    };
    const { gateway, engines } = await cluster(
      [
        (request) => {
          openStream(request);
          say(request, 'Once', null);
          setTimeout(reset, 50, request);
        },
        (request) => {
          openStream(request);
          say(request, ' upon', 'stop');
          request.response.end('data: [DONE]\n\n');
        },
      ],
      { ownedBy: 'somebody' },
    );
    const body = { model: 'fake', prompt: 'Tell: ', stream: true };
    expect(seenIn(await post(gateway, '/v1/completions', body))).toMatchObject({ text: 'Once upon', ends: 1 });
    const bodies = engines.flatMap(({ requests }) => requests.map((one) => JSON.parse(one.body)));
    expect(bodies).toContainEqual({ ...body, prompt: 'Tell: Once', max_tokens: 15 });
  });

  it('of token ids is not continued without a tokenizer', async () => {
    const { gateway } = await cluster([dying(reset), (request) => streamTokens(request, 1)]);
    const say = { model: 'fake', prompt: [1, 2, 3], stream: true };
    const answer = await post(gateway, '/v1/completions', say);
    expect(seenIn(answer).errors.length).toBe(1);
  });
});
