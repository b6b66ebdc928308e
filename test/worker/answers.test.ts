// The answers of a simulated engine compared with captured ones of a real vLLM, and the supported options.

import { describe, expect, it } from 'vitest';
import { loadBuiltinTokenizer } from '../../src/tokens/builtin-tokenizer.ts';
import captured from '../golden/kv-engine-answers.json' with { type: 'json' };
import { post, readEvents, startOne } from './fleet.ts';

/** The shape of an answer: keys in order, and the types of its values. */
function shapeOf(value: unknown): unknown {
  if (value === null) return 'null';
  if (Array.isArray(value)) return typeof value[0] === 'number' ? 'numbers' : value.map(shapeOf);
  if (typeof value !== 'object') return typeof value;
  return Object.entries(value).map(([key, entry]) => [key, shapeOf(entry)]);
}

function shapeOfText(text: string): unknown {
  return text === '[DONE]' ? text : shapeOf(JSON.parse(text));
}

function capturedEvents(name: keyof typeof captured): string[] {
  return captured[name]
    .split('\n\n')
    .flatMap((event) => (event.trim() === '' ? [] : [event.trim().replace(/^data: /, '')]));
}

const messages = [{ role: 'user', content: 'hello' }];
const streamWithUsage = { stream: true, stream_options: { include_usage: true }, ignore_eos: true };

interface CompletionBody {
  readonly id: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text: string;
    readonly finish_reason: string;
    readonly token_ids: readonly number[] | null;
  }[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
}

async function complete(url: string, fields: object, headers: Record<string, string> = {}): Promise<CompletionBody> {
  const body = { ignore_eos: true, return_token_ids: true, ...fields };
  const response = await post(`${url}/v1/completions`, body, headers);
  expect(response.status).toBe(200);
  return (await response.json()) as CompletionBody;
}

describe('answers have the shape of captured ones', () => {
  it.each([
    ['completions-stream-usage', '/v1/completions', { prompt: [1, 2, 3], max_tokens: 4, ...streamWithUsage }],
    [
      'completions-stream-ids',
      '/v1/completions',
      { prompt: [1, 2, 3], max_tokens: 3, stream: true, ignore_eos: true, return_token_ids: true },
    ],
    ['chat-stream-usage', '/v1/chat/completions', { messages, max_tokens: 4, ...streamWithUsage }],
    [
      'chat-stream-continuous-ids',
      '/v1/chat/completions',
      {
        messages,
        max_tokens: 3,
        ...streamWithUsage,
        stream_options: { include_usage: true, continuous_usage_stats: true },
        return_token_ids: true,
      },
    ],
  ] as const)('%s', async (name, path, body) => {
    const response = await post(`${await startOne()}${path}`, body);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect((await readEvents(response)).map(shapeOfText)).toEqual(capturedEvents(name).map(shapeOfText));
  });

  it.each([
    ['completions-nonstream', '/v1/completions', { prompt: [1, 2, 3], max_tokens: 2, ignore_eos: true }],
    ['chat-nonstream', '/v1/chat/completions', { messages, max_tokens: 2, ignore_eos: true }],
  ] as const)('%s', async (name, path, body) => {
    const response = await post(`${await startOne()}${path}`, body);
    expect(shapeOfText(await response.text())).toEqual(shapeOfText(captured[name]));
  });
});

describe('answers', () => {
  it('stream the text and token ids of the whole answer to the same request id', async () => {
    const url = await startOne();
    const fields = { prompt: 'once upon', max_tokens: 200, ignore_eos: true, return_token_ids: true };
    const headers = { 'x-request-id': 'same' };
    const plain = await complete(url, fields, headers);
    const events = await readEvents(await post(`${url}/v1/completions`, { ...fields, stream: true }, headers));
    const chunks = events.slice(0, -1).map((event) => (JSON.parse(event) as CompletionBody).choices[0]!);
    expect(chunks.map(({ text }) => text).join('')).toBe(plain.choices[0]!.text);
    expect(chunks.flatMap(({ token_ids }) => token_ids ?? [])).toEqual(plain.choices[0]!.token_ids);
    // Incomplete characters: no text in their own chunk, a replacement character in a later one.
    expect(chunks.some(({ text }) => text === '')).toBe(true);
    expect(plain.choices[0]!.text).toContain('\ufffd');
  });

  it('have the id of the header, else of the body, else their own', async () => {
    const url = await startOne();
    const fields = { prompt: 'a', max_tokens: 1 };
    expect((await complete(url, { ...fields, request_id: 'body' }, { 'x-request-id': 'header' })).id).toBe(
      'cmpl-header',
    );
    expect((await complete(url, { ...fields, request_id: 'body' })).id).toBe('cmpl-body');
    const own = [await complete(url, fields), await complete(url, fields)].map(({ id }) => id);
    expect(own[0]).toMatch(/^cmpl-[0-9a-f]{32}$/);
    expect(own[0]).not.toBe(own[1]);
  });

  it('serve requests with equal ids at the same time', async () => {
    const url = await startOne();
    const both = await Promise.all(
      ['one', 'two'].map((prompt) => complete(url, { prompt, max_tokens: 5, request_id: 'x' })),
    );
    expect(both.map(({ usage }) => usage.completion_tokens)).toEqual([5, 5]);
  });

  it('accept all four forms of prompts', async () => {
    const url = await startOne();
    const choicesOf = async (prompt: unknown) => {
      const { choices, usage } = await complete(url, { prompt, max_tokens: 2 });
      return [choices.map(({ index }) => index), usage.prompt_tokens, usage.completion_tokens];
    };
    expect(await choicesOf('abc')).toEqual([[0], 3, 2]);
    expect(await choicesOf(['abc', 'de'])).toEqual([[0, 1], 5, 4]);
    expect(await choicesOf([7, 8, 9])).toEqual([[0], 3, 2]);
    expect(await choicesOf([[7, 8], [9]])).toEqual([[0, 1], 3, 4]);
  });

  it('return n different sequences for a prompt that counts once', async () => {
    const url = await startOne({ blockSize: 4 });
    const { choices, usage } = await complete(url, { prompt: 'abcdefghi', max_tokens: 6, n: 3 });
    expect(choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(choices.map(({ text }) => text)).size).toBe(3);
    expect(usage).toMatchObject({
      prompt_tokens: 9,
      completion_tokens: 18,
      prompt_tokens_details: { cached_tokens: 0 },
    });
    const events = await readEvents(
      await post(`${url}/v1/chat/completions`, { messages, max_tokens: 2, n: 2, stream: true, ignore_eos: true }),
    );
    const indexes = events.slice(0, -1).map((event) => (JSON.parse(event) as CompletionBody).choices[0]!.index);
    expect(indexes.sort()).toEqual([0, 0, 0, 1, 1, 1]);
  });

  it('report no cached tokens for prompt logprobs, and store the prompt as usual', async () => {
    const url = await startOne({ blockSize: 4 });
    const cached = async (more: object) => {
      const { usage } = await complete(url, { prompt: 'abcdefghi', max_tokens: 1, ...more });
      return usage.prompt_tokens_details.cached_tokens;
    };
    expect(await cached({ prompt_logprobs: 0 })).toBe(0);
    expect(await cached({ prompt_logprobs: 0 })).toBe(0);
    expect(await cached({})).toBe(8);
  });

  it('report cached tokens, and separate prompts by salt', async () => {
    const url = await startOne({ blockSize: 4 });
    const cached = async (cacheSalt?: string) => {
      const { usage } = await complete(url, { prompt: 'abcdefghi', max_tokens: 1, cache_salt: cacheSalt });
      return usage.prompt_tokens_details.cached_tokens;
    };
    expect([await cached(), await cached(), await cached('a'), await cached('a'), await cached('b')]).toEqual([
      0, 8, 0, 8, 0,
    ]);
  });

  it('end by themselves unless ignore_eos is set', async () => {
    const url = await startOne();
    const ended = await complete(url, { prompt: 'a', max_tokens: 4000, ignore_eos: false, request_id: 'r' });
    expect(ended.choices[0]!.finish_reason).toBe('stop');
    expect(ended.usage.completion_tokens).toBeLessThan(4000);
    const again = await complete(url, { prompt: 'a', max_tokens: 4000, ignore_eos: false, request_id: 'r' });
    expect(again.choices).toEqual(ended.choices);
    const told = await complete(url, { prompt: 'a', max_tokens: 9 }, { 'x-mock-output-len': '5' });
    expect(told.choices[0]).toMatchObject({ finish_reason: 'stop', token_ids: { length: 5 } });
    const cut = await complete(url, { prompt: 'a', max_tokens: 9 }, { 'x-mock-output-len': '50' });
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'length', token_ids: { length: 9 } });
  });

  it('fill the context if a chat has no limit', async () => {
    const url = await startOne({ maxModelLen: 60 });
    const response = await post(`${url}/v1/chat/completions`, { messages, ignore_eos: true });
    const { usage } = (await response.json()) as CompletionBody;
    expect(usage.prompt_tokens + usage.completion_tokens).toBe(60);
  });
});

it('answers of the builtin tokenizer have the same tokens if a client tokenizes their text', async () => {
  const tokenizer = await loadBuiltinTokenizer();
  const url = await startOne({ tokenizer });
  const { choices } = await complete(url, { prompt: 'a', max_tokens: 300, return_token_ids: true });
  const { text, token_ids: ids } = choices[0]!;
  const again = Array.from(tokenizer.encode(text));
  // Except incomplete characters, which some tokens are on purpose.
  const incomplete = text.split('\ufffd').length - 1;
  expect(incomplete).toBeLessThan(20);
  expect(Math.abs(again.length - ids!.length)).toBeLessThanOrEqual(2 * incomplete);
});

describe('a speculative engine', () => {
  interface Chunk {
    readonly choices: readonly { readonly text: string; readonly token_ids?: readonly number[] }[];
  }
  const textOf = (events: readonly string[]): string =>
    events.map((event) => (JSON.parse(event) as Chunk).choices.map(({ text }) => text).join('')).join('');

  it('sends several tokens in a chunk, the same text as one that does not speculate', async () => {
    const body = { prompt: [1, 2, 3], max_tokens: 60, ignore_eos: true, stream: true, seed: 5 };
    const events: string[][] = [];
    for (const profile of ['constant', 'l40s-llama8b-speculative'] as const) {
      const url = await startOne({ profile });
      const stream = await post(`${url}/v1/completions`, body, { 'x-request-id': 'same' });
      events.push((await readEvents(stream)).filter((event) => event !== '[DONE]'));
    }
    const [plain, speculative] = events as [string[], string[]];
    expect(plain).toHaveLength(60);
    expect(speculative.length).toBeLessThan(40);
    expect(textOf(speculative)).toBe(textOf(plain));
    expect(speculative.filter((event) => event.includes('"finish_reason":"length"'))).toHaveLength(1);
  });

  it('sends a chunk a token to clients that ask for ids', async () => {
    const url = await startOne({ profile: 'l40s-llama8b-speculative' });
    const body = { prompt: [1, 2, 3], max_tokens: 30, ignore_eos: true, stream: true, return_token_ids: true };
    const events = await readEvents(await post(`${url}/v1/completions`, body));
    const ids = events
      .filter((event) => event !== '[DONE]')
      .flatMap((event) => (JSON.parse(event) as Chunk).choices.flatMap((choice) => choice.token_ids ?? []));
    expect(ids).toHaveLength(30);
  });
});
