// Token ids from the engines: which are asked, what happens when they fail, and which blocks of a prompt are claimed.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Gateway, GatewayOptions } from '../../src/gateway/index.ts';
import { loadBuiltinTokenizer } from '../../src/tokens/builtin-tokenizer.ts';
import { loadTokenizer } from '../../src/tokens/load-tokenizer.ts';
import { plainChat } from '../../src/tokens/plain-chat.ts';
import { tokenizerFolder, wordLevel } from '../tokens/hugging-face-files.ts';
import {
  endStream,
  type FakeEngine,
  type FakeEngineOptions,
  openStream,
  type Question,
  replyJson,
  replyTokens,
  sendToken,
  tokenizeCharacters,
} from './fake-engine.ts';
import { chatBody, eventually, getJson, Harness, post } from './harness.ts';
import { LogLines } from './log-lines.ts';

let harness: Harness;
let log: LogLines;
beforeEach(() => {
  harness = new Harness();
  log = new LogLines();
});
afterEach(() => harness.end());

type Tokenize = FakeEngine['tokenize'];

interface Shown {
  readonly id: string;
  readonly source: string;
  readonly tokenizer: { readonly text: string; readonly chat: string };
  readonly tokensFrom: { readonly text: string; readonly chat: string };
  readonly requestsInFlight: number;
}

interface Decided {
  readonly known: string;
  readonly isl: number;
  readonly overlapTokens: number;
  readonly uncachedTokens: number;
}

/** Engines that return token ids; questions during joining are not recorded. */
async function started(
  tokenizes: readonly Tokenize[],
  options: GatewayOptions = {},
  engineOptions: FakeEngineOptions = {},
): Promise<{ gateway: Gateway; engines: FakeEngine[] }> {
  const engines = await harness.engines(tokenizes.length, engineOptions);
  for (const [i, engine] of engines.entries()) engine.tokenize = tokenizes[i]!;
  const workers = engines.map(({ url }) => url);
  const gateway = await harness.gateway({ workers, logLevel: 'info', ...options }, engines.length, ['fake'], {
    logTo: log,
  });
  for (const engine of engines) engine.questions.length = 0;
  return { gateway, engines };
}

async function complete(gateway: Gateway, prompt: unknown, more: object = {}): Promise<Decided> {
  const { status, body } = await post(gateway, '/v1/completions', { model: 'fake', prompt, stream: true, ...more });
  expect(status, body).toBe(200);
  return lastDecision(gateway);
}

async function chat(gateway: Gateway, messages: readonly object[], more: object = {}): Promise<Decided> {
  const { status, body } = await post(gateway, '/v1/chat/completions', {
    model: 'fake',
    messages,
    stream: true,
    ...more,
  });
  expect(status, body).toBe(200);
  return lastDecision(gateway);
}

async function lastDecision(gateway: Gateway): Promise<Decided> {
  return ((await getJson(gateway, '/decisions')) as { decisions: Decided[] }).decisions[0]!;
}

async function shown(gateway: Gateway): Promise<Shown[]> {
  return ((await getJson(gateway, '/workers')) as { workers: Shown[] }).workers;
}

async function failures(gateway: Gateway): Promise<Record<string, number>> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
  const lines = text.matchAll(/^kvoyant_tokenizer_failures_total\{code="(.+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, code, count]) => [code!, Number(count)]));
}

const asked = (engines: readonly FakeEngine[]): number[] => engines.map(({ questions }) => questions.length);
const status =
  (code: number): Tokenize =>
  (_question, response) =>
    replyJson(response, code, { error: {} });
/** Answers the questions during joining; later ones go to `then`. */
const fit =
  (then: NonNullable<Tokenize>): Tokenize =>
  (question, response) =>
    JSON.stringify(question).includes('Routing 12345')
      ? tokenizeCharacters(question, response)
      : then(question, response);

describe('by default', () => {
  it('asks the engines of the model in turn, once for equal prompts, and never for token ids', async () => {
    const { gateway, engines } = await started([tokenizeCharacters, tokenizeCharacters]);
    expect(gateway.tokenizerName).toBe('engine');
    expect((await complete(gateway, 'abc')).isl).toBe(3);
    expect((await complete(gateway, 'abcd')).isl).toBe(4);
    expect(asked(engines)).toEqual([1, 1]);
    const again = await Promise.all(['abc', 'abcde', 'abcde', 'abcde'].map((prompt) => complete(gateway, prompt)));
    expect(again.length).toBe(4);
    expect(asked(engines).reduce((sum, count) => sum + count)).toBe(3);
    expect((await complete(gateway, [7, 8, 9])).isl).toBe(3);
    await chat(gateway, chatBody.messages);
    expect(asked(engines)).toEqual([2, 2]);
    expect(engines.flatMap(({ questions }) => questions).find(({ messages }) => messages)).toEqual({
      model: 'fake',
      messages: chatBody.messages,
      add_generation_prompt: true,
      add_special_tokens: false,
    });
    expect(await failures(gateway)).toEqual({});
  });

  it('matches a stock engine by its events', async () => {
    const eventSources = {
      '0': { enable_kv_cache_events: true, publisher: 'zmq', endpoint: 'tcp://127.0.0.1:1', topic: '' },
    };
    const { gateway } = await started([tokenizeCharacters, null], {}, { eventSources });
    expect(await shown(gateway)).toMatchObject([
      { source: 'events', tokenizer: { text: 'asked', chat: 'asked' }, tokensFrom: { text: 'engine', chat: 'engine' } },
      { source: 'approximate', tokenizer: { text: 'unavailable' }, tokensFrom: { text: 'engine' } },
    ]);
    expect(log.with('engine provides no token ids: its /tokenize does not answer').length).toBe(1);
    expect(log.with('KV events not used: prompts can only be matched with them by token ids').length).toBe(1);
  });

  it('routes a prompt by its bytes if no engine returns token ids, and reports that', async () => {
    const { gateway } = await started([null, status(500)]);
    const { isl } = await complete(gateway, 'x'.repeat(400));
    expect(isl).toBe(100);
    const again = await complete(gateway, 'x'.repeat(400));
    expect(again.known).toBe('bytes');
    expect(again.overlapTokens).toBeGreaterThanOrEqual(64);
    await chat(gateway, chatBody.messages);
    expect(await failures(gateway)).toEqual({ 'engine-missing': 3 });
    for (const worker of await shown(gateway)) {
      expect(worker).toMatchObject({ source: 'approximate', tokensFrom: { text: 'bytes', chat: 'bytes' } });
    }
    // One line, however many prompts there are.
    expect(log.with('prompt routed by its bytes').map(({ code }) => code)).toEqual(['engine-missing']);
  });

  it('queues the questions of a burst, and every prompt is exact', async () => {
    let open = 0;
    let openMax = 0;
    let begin = (): void => undefined;
    const manyOpen = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const slow = fit(async (question, response) => {
      openMax = Math.max(openMax, ++open);
      // All wait until many are open, however slow this machine is.
      if (open > 8) begin();
      await manyOpen;
      await new Promise((resolve) => setTimeout(resolve, 20));
      open--;
      tokenizeCharacters(question, response);
    });
    const { gateway } = await started([slow, slow], { tokenizeMsMax: 30_000 });
    const prompts = Array.from({ length: 200 }, (_, i) => `${i}`.padEnd(50 + i));
    await Promise.all(prompts.map((prompt) => complete(gateway, prompt)));
    const { decisions } = (await getJson(gateway, '/decisions')) as { decisions: Decided[] };
    expect(decisions.map(({ isl }) => isl).sort((a, b) => a - b)).toEqual(prompts.map(({ length }) => length));
    expect(new Set(decisions.map(({ known }) => known))).toEqual(new Set(['tokens']));
    expect(openMax).toBeGreaterThan(8);
    expect(openMax).toBeLessThanOrEqual(64);
  });

  it('does not count a question as a request', async () => {
    let answer: (() => void) | null = null;
    const slow = fit((question, response) => {
      answer = () => tokenizeCharacters(question, response);
    });
    const { gateway, engines } = await started([slow], { tokenizeMsMax: 10_000 });
    const done = complete(gateway, 'abc');
    await eventually(() => answer !== null);
    expect((await shown(gateway))[0]!.requestsInFlight).toBe(0);
    expect(engines[0]!.requests.length).toBe(0);
    answer!();
    expect((await done).isl).toBe(3);
  });

  it('asks a restarted engine again, since it may have another template', async () => {
    const { gateway, engines } = await started([tokenizeCharacters]);
    await complete(gateway, 'abc');
    const { port } = engines[0]!;
    await engines[0]!.close();
    await post(gateway, '/v1/completions', { model: 'fake', prompt: [1], stream: true });
    const reborn = await harness.engine({ port });
    reborn.tokenize = (_question, response) => replyTokens(response, [1, 2]);
    await gateway.whenReady(5000);
    expect((await complete(gateway, 'abc')).isl).toBe(2);
  });
});

describe('an engine that fails to answer', () => {
  it.each<[string, NonNullable<Tokenize>]>([
    ['with 404', status(404)!],
    ['with 500', status(500)!],
    ['with no list of tokens', (_question, response) => replyJson(response, 200, { tokens: 7 })],
    ['with no JSON', (_question, response) => response.end('tokens')],
    ['with too much', (_question, response) => response.end('x'.repeat(200_000))],
    ['by hanging up', (_question, response) => response.destroy()],
    ['ever', () => undefined],
  ])('%s is replaced by another one, and is not asked for a while', async (_how, fails) => {
    const { gateway, engines } = await started([fit(fails), tokenizeCharacters], { tokenizeMsMax: 400 });
    for (const prompt of ['ab', 'abc', 'abcd', 'abcde'])
      expect((await complete(gateway, prompt)).isl).toBe(prompt.length);
    expect(engines[0]!.questions.length).toBeLessThanOrEqual(2);
    expect(engines[1]!.questions.length).toBe(4);
    expect(await failures(gateway)).toEqual({});
  });

  it('delays no request for longer than tokenizeMsMax, and later ones not at all', async () => {
    const { gateway, engines } = await started([fit(() => undefined)], { tokenizeMsMax: 200 });
    const startedMs = performance.now();
    await complete(gateway, 'x'.repeat(40));
    const firstMs = performance.now() - startedMs;
    expect(firstMs).toBeGreaterThan(190);
    expect(firstMs).toBeLessThan(2000);
    await Promise.all(Array.from({ length: 20 }, (_, i) => complete(gateway, `y${i}`)));
    const [questions] = asked(engines);
    // After each pause one question tests whether it answers.
    expect(questions).toBeLessThanOrEqual(3);
    expect(await failures(gateway)).toEqual({ 'engine-unreachable': questions, 'engine-missing': 21 - questions! });
    // Its health is not affected.
    expect((await shown(gateway))[0]).toMatchObject({ state: 'ready' });
  });

  it('is not replaced if the prompt is at fault', async () => {
    const { gateway, engines } = await started([fit(status(400)!), fit(status(400)!)]);
    await chat(gateway, chatBody.messages);
    expect(asked(engines).reduce((sum, count) => sum + count)).toBe(1);
    expect(await failures(gateway)).toEqual({ 'engine-refused': 1 });
  });

  it('or drains, or is down, is not asked', async () => {
    const { gateway, engines } = await started([tokenizeCharacters, tokenizeCharacters, tokenizeCharacters]);
    await fetch(`${gateway.adminUrl}/workers/${encodeURIComponent(engines[0]!.url)}/drain`, { method: 'POST' });
    engines[1]!.health = (response) => replyJson(response, 500, {});
    engines[1]!.models = [];
    await eventually(
      async () => (await shown(gateway)).some((worker) => 'state' in worker && worker.state === 'refused'),
      8000,
    );
    for (const prompt of ['ab', 'abc', 'abcd']) await complete(gateway, prompt);
    expect(asked(engines)).toEqual([0, 0, 3]);
  }, 15_000);
});

describe('with a tokenizer', () => {
  /** The built-in tokenizer, with this many extra ids before those of a chat. */
  const builtin =
    (extra: readonly number[] | 'same', only?: (question: Question) => boolean): Tokenize =>
    async (question, response) => {
      const tokenizer = await loadBuiltinTokenizer();
      if (only && !only(question)) return replyJson(response, 404, {});
      const { prompt, messages } = question;
      if (typeof prompt === 'string') return replyTokens(response, Array.from(tokenizer.encode(prompt)));
      const ids = Array.from(tokenizer.encodeChat(plainChat({ messages: messages as object[] })).ids);
      return replyTokens(response, extra === 'same' ? ids : [...extra, ...ids]);
    };
  const local = { tokenizer: 'builtin' };
  const chatIsl = async (): Promise<number> => {
    const tokenizer = await loadBuiltinTokenizer();
    return tokenizer.encodeChat(plainChat({ messages: chatBody.messages })).ids.length;
  };
  // Except findings about events and caches.
  const warnings = (): string[] =>
    log.lines.filter(({ level, cause }) => level === 40 && cause === undefined).map(({ msg }) => msg);

  it('that agrees asks nothing', async () => {
    const { gateway, engines } = await started([builtin('same')], local);
    expect((await chat(gateway, chatBody.messages)).isl).toBe(await chatIsl());
    await complete(gateway, 'abc');
    expect(asked(engines)).toEqual([0]);
    expect((await shown(gateway))[0]).toMatchObject({
      tokenizer: { text: 'agrees', chat: 'agrees' },
      tokensFrom: { text: 'tokenizer', chat: 'tokenizer' },
    });
    expect(warnings()).toEqual([]);
  });

  it.each<[string, readonly number[], string, string]>([
    ['another template', [9, 9, 9], 'differs', 'the chat template differs from the engine: '],
    ['a BOS twice', [100264], 'double-bos', 'the chat template differs by a second BOS from the engine: '],
  ])('asks engines with %s for chats, not for texts', async (_what, extra, verdict, warning) => {
    const { gateway, engines } = await started([builtin(extra), builtin(extra)], local);
    expect((await chat(gateway, chatBody.messages)).isl).toBe((await chatIsl()) + extra.length);
    await complete(gateway, 'abc');
    expect(asked(engines).reduce((sum, count) => sum + count)).toBe(1);
    for (const worker of await shown(gateway)) {
      expect(worker).toMatchObject({
        tokenizer: { text: 'agrees', chat: verdict },
        tokensFrom: { text: 'tokenizer', chat: 'engine' },
      });
    }
    expect(warnings().at(-1)).toBe(`${warning}token ids of chats are asked of the engines`);
  });

  it('tokenizes chats itself while some engine agrees, or if it is trusted', async () => {
    // Joins after the other one.
    const late: Tokenize = async (question, response) => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return builtin([9])!(question, response);
    };
    const mixed = await started([builtin('same'), late], local);
    expect((await chat(mixed.gateway, chatBody.messages)).isl).toBe(await chatIsl());
    expect(warnings().at(-1)).toMatch(/token ids of chats are those of the tokenizer/);
    const trusting = await started([builtin([9])], { ...local, trustTokenizer: true });
    expect((await chat(trusting.gateway, chatBody.messages)).isl).toBe(await chatIsl());
    expect(asked([...mixed.engines, ...trusting.engines])).toEqual([0, 0, 0]);
  });

  it("reports an engine whose joining changes the source of token ids, and the engines that then don't match", async () => {
    const { gateway, engines } = await started([builtin([9])], local);
    const agreeing = await harness.engine();
    agreeing.tokenize = builtin('same');
    await fetch(`${gateway.adminUrl}/workers`, { method: 'POST', body: JSON.stringify({ url: agreeing.url }) });
    await gateway.whenReady(5000, 2);
    await eventually(() => log.with('source of token ids changed').length === 1);
    expect(log.with('source of token ids changed')[0]).toMatchObject({
      tokensFrom: { text: 'tokenizer', chat: 'tokenizer' },
      differing: [`${engines[0]!.url}#0`],
    });
  });

  it('asks engines for chats beyond its template, and uses bytes if none answers', async () => {
    const { gateway, engines } = await started([builtin([])], local);
    const messages = [...chatBody.messages, { role: 'assistant', content: 'I am' }];
    await chat(gateway, messages, { continue_final_message: true, add_generation_prompt: false });
    await chat(gateway, messages, { chat_template: '{{ 1 }}' });
    expect(engines[0]!.questions).toMatchObject([
      { continue_final_message: true, add_generation_prompt: false },
      { chat_template: '{{ 1 }}' },
    ]);
    expect(await failures(gateway)).toEqual({});
    const other = await started([builtin([], ({ prompt }) => prompt !== undefined)], local);
    await chat(other.gateway, messages, { continue_final_message: true, add_generation_prompt: false });
    expect(await failures(other.gateway)).toEqual({ 'chat-beyond-template': 1 });
  });

  it.each<[string, object, RegExp]>([
    ['is missing', {}, /uses the library in a thread/],
    ['does not parse', { 'chat_template.jinja': '{% for %}' }, /the chat template of .+ is ignored: .+ does not parse/],
  ])('whose chat template %s asks engines for chats, and logs what to improve', async (_what, files, notice) => {
    const folder = tokenizerFolder({ 'tokenizer.json': wordLevel, ...files });
    try {
      // To a word-level tokenizer every word of the compared text is unknown.
      const own = await loadTokenizer(folder.path, { imagesPath: null, templateOptional: true });
      const tell: Tokenize = async ({ prompt }, response) =>
        replyTokens(response, typeof prompt === 'string' ? Array.from(await own.encode(prompt)) : [1, 2, 3]);
      const { gateway, engines } = await started([tell], { tokenizer: folder.path });
      expect((await complete(gateway, 'hello world')).isl).toBe(3);
      expect((await chat(gateway, chatBody.messages)).isl).toBe(3);
      expect(engines[0]!.questions).toMatchObject([{ messages: chatBody.messages }]);
      expect((await shown(gateway))[0]).toMatchObject({
        tokenizer: { text: 'agrees', chat: 'differs' },
        tokensFrom: { text: 'tokenizer', chat: 'engine' },
      });
      expect(warnings()).toContainEqual(expect.stringMatching(notice));
      await own.close();
    } finally {
      folder.remove();
    }
  });

  it('keeps out an engine whose texts have a BOS twice', async () => {
    const engine = await harness.engine();
    engine.tokenize = async (question, response) => {
      const tokenizer = await loadBuiltinTokenizer();
      const ids = Array.from(tokenizer.encode(String(question['prompt'])));
      replyTokens(response, [ids[0]!, ...ids]);
    };
    const gateway = await harness.gateway({ workers: [engine.url], ...local }, 0);
    await eventually(async () => JSON.stringify(await shown(gateway)).includes('BOS that one of them writes twice'));
    expect(engine.questions.length).toBeGreaterThan(0);
    expect(await shown(gateway)).toMatchObject([{ state: 'refused' }]);
  });

  it('estimates an image by earlier usage, and claims only the blocks before it', async () => {
    const { gateway, engines } = await started([builtin('same')], local);
    engines[0]!.behaviour = (request) => {
      openStream(request);
      sendToken(request, 'a', 'stop');
      endStream(request, 5000, 1);
    };
    const system = { role: 'system', content: 'You are a careful assistant. '.repeat(20) };
    const question = [
      { type: 'text', text: 'What is it?' },
      { type: 'image_url', image_url: { url: 'data:,x' } },
    ];
    const messages = [system, { role: 'user', content: question }];
    const textTokens = (await loadBuiltinTokenizer()).encodeChat(
      plainChat({ messages: [system, { role: 'user', content: '\nWhat is it?' }] }),
    );
    const first = await chat(gateway, messages);
    expect(first.isl - textTokens.ids.length).toBeGreaterThan(1000);
    expect(first.isl - textTokens.ids.length).toBeLessThan(1050);
    const second = await chat(gateway, messages);
    // Moves towards the counted 4,900.
    expect(second.isl).toBeGreaterThan(first.isl + 100);
    expect(second.overlapTokens).toBeGreaterThanOrEqual(96);
    expect(second.overlapTokens).toBeLessThan(textTokens.ids.length);
    expect(second.known).toBe('beginning');
    expect(second.uncachedTokens).toBe(second.isl - second.overlapTokens);
  });
});

describe('a prompt that the engine modifies', () => {
  it('by truncation is not claimed, and counts with its remaining length', async () => {
    const { gateway } = await started([tokenizeCharacters]);
    const prompt = 'x'.repeat(200);
    await complete(gateway, prompt);
    expect(await complete(gateway, prompt, { truncate_prompt_tokens: 200 })).toMatchObject({
      isl: 200,
      overlapTokens: 192,
    });
    expect(await complete(gateway, prompt, { truncate_prompt_tokens: 100 })).toMatchObject({
      isl: 100,
      overlapTokens: 0,
    });
    expect(await complete(gateway, prompt, { truncate_prompt_tokens: 100 })).toMatchObject({
      isl: 100,
      overlapTokens: 0,
    });
  });

  it('by recomputing all of it has no overlap, and leaves blocks', async () => {
    const { gateway } = await started([tokenizeCharacters]);
    const prompt = 'x'.repeat(200);
    const all = { isl: 200, overlapTokens: 0, uncachedTokens: 200 };
    expect(await complete(gateway, prompt, { prompt_logprobs: 1 })).toMatchObject(all);
    expect(await complete(gateway, prompt, { prompt_logprobs: 1 })).toMatchObject(all);
    expect((await complete(gateway, prompt)).overlapTokens).toBe(192);
  });

  it('by embeddings instead of tokens is routed', async () => {
    const { gateway, engines } = await started([tokenizeCharacters]);
    expect((await complete(gateway, null, { prompt_embeds: 'A'.repeat(50_000) })).isl).toBe(5);
    expect(asked(engines)).toEqual([0]);
  });
});
