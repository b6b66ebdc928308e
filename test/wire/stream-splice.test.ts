import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamSplice } from '../../src/wire/stream-splice.ts';

type Api = 'chat' | 'completions';
const promptTokens = 17;
const bytesMax = 1 << 20;

interface EngineStream {
  readonly api: Api;
  readonly id: string;
  readonly created: number;
  /** Text of each token; empty: it is the beginning of a character. */
  readonly tokens: readonly string[];
  /** Tokens of the prompt, what is given of the answer included. */
  readonly prompt: number;
  readonly usage: 'none' | 'end' | 'running';
  readonly ids: boolean;
  readonly lineEnd: '\n' | '\r\n';
}

/** The bytes of a stream as vLLM writes it. */
function streamOf({ api, id, created, tokens, prompt, usage, ids, lineEnd }: EngineStream): Buffer {
  const events: string[] = [];
  const counts = (completion: number): object => ({
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    completion_tokens: completion,
    prompt_tokens_details: { cached_tokens: prompt },
  });
  const add = (choices: readonly object[], count: number, last = false): void => {
    const told = usage === 'running' || (usage === 'end' && last) ? { usage: counts(count) } : {};
    const object = api === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    events.push(JSON.stringify({ id, object, created, model: `m-${id}`, choices, ...told }));
  };
  if (api === 'chat') add([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }], 0);
  for (const [at, text] of tokens.entries()) {
    const isLast = at === tokens.length - 1;
    const said = api === 'chat' ? { delta: { content: text } } : { text };
    const known = ids ? { token_ids: [at] } : { token_ids: null };
    const first = api === 'completions' && at === 0 && ids ? { prompt_token_ids: [1, 2, 3] } : {};
    add([{ index: 0, ...said, logprobs: null, finish_reason: isLast ? 'length' : null, ...known, ...first }], at + 1);
  }
  if (usage !== 'none') add([], tokens.length, true);
  return Buffer.from([...events, '[DONE]'].map((data) => `data: ${data}${lineEnd}${lineEnd}`).join(''));
}

interface Read {
  readonly text: string;
  readonly names: ReadonlySet<string>;
  readonly roles: number;
  readonly finishes: number;
  readonly usages: readonly { readonly prompt_tokens: number; readonly completion_tokens: number }[];
  readonly promptIds: number;
  readonly ends: number;
}

/** What a client reads, naively. */
function read(bytes: Buffer): Read {
  let text = '';
  let [roles, finishes, promptIds, ends] = [0, 0, 0, 0];
  const names = new Set<string>();
  const usages: Read['usages'][number][] = [];
  for (const event of bytes.toString('utf8').replaceAll('\r\n', '\n').split('\n\n')) {
    const data = event
      .split('\n')
      .find((line) => line.startsWith('data: '))
      ?.slice(6);
    if (data === undefined) continue;
    if (data === '[DONE]') {
      ends += 1;
      continue;
    }
    const chunk = JSON.parse(data);
    names.add(`${chunk.id} ${chunk.created} ${chunk.model}`);
    const [choice] = chunk.choices;
    if (choice === undefined) {
      usages.push(chunk.usage);
      continue;
    }
    text += choice.delta?.content ?? choice.text ?? '';
    if (typeof choice.delta?.role === 'string') roles += 1;
    if (choice.finish_reason !== null) finishes += 1;
    if (Array.isArray(choice.prompt_token_ids)) promptIds += 1;
  }
  return { text, names, roles, finishes, usages, promptIds, ends };
}

function pushed(splice: StreamSplice, bytes: Buffer, pieceBytes: number): Buffer {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    out.push(Buffer.from(splice.push(Buffer.from(bytes.subarray(at, at + pieceBytes)))));
  }
  return Buffer.concat(out);
}

/** The rest of the tokens once a text is given. */
function restOf(tokens: readonly string[], text: string): readonly string[] {
  let rest = tokens;
  for (let given = 0; given < text.length; rest = rest.slice(1)) given += rest[0]!.length;
  return rest;
}

const textOf = (splice: StreamSplice): string => JSON.parse(`"${splice.text.toString('utf8')}"`);

const token = fc.oneof(
  { weight: 6, arbitrary: fc.string({ minLength: 1, maxLength: 6, unit: 'binary' }) },
  { weight: 1, arbitrary: fc.constantFrom('', '"', '\\', '\n\n', 'data: x', '😀', ' finish_reason":"stop') },
);

/** Cuts a stream, lets another engine go on, and checks what the client has. */
function checkCut(stream: Pick<EngineStream, 'api' | 'usage' | 'ids' | 'lineEnd'>, cutting: Cutting): void {
  const { tokens, cutShare, pieceA, pieceB } = cutting;
  const whole = streamOf({ ...stream, tokens, prompt: promptTokens, id: 'a', created: 1 });
  const splice = new StreamSplice({ api: stream.api, bytesMax });
  let seen = pushed(splice, whole.subarray(0, Math.max(1, Math.floor(whole.length * cutShare))), pieceA);
  splice.interrupt();
  const given = textOf(splice);
  expect(read(seen).text).toBe(given);
  // The end can't be told from an incomplete character, or from a thought.
  if (splice.unfit !== null) return;
  splice.expect(promptTokens);
  if (splice.finished) {
    seen = Buffer.concat([seen, splice.closing(stream.usage === 'none' ? null : promptTokens)]);
  } else {
    const rest = restOf(tokens, given);
    const prompt = promptTokens + splice.tokens;
    const second = streamOf({ ...stream, tokens: rest, prompt, id: 'b', created: 2 });
    seen = Buffer.concat([seen, pushed(splice, second, pieceB)]);
    expect([splice.fault, splice.resumed]).toEqual([null, true]);
  }
  const { text, names, roles, finishes, usages, promptIds, ends } = read(seen);
  expect([text, names.size, finishes, ends]).toEqual([tokens.join(''), 1, 1, 1]);
  expect([roles <= 1, promptIds <= 1]).toEqual([true, true]);
  if (stream.usage === 'none') return;
  expect(usages).toMatchObject([{ prompt_tokens: promptTokens, completion_tokens: tokens.length }]);
}

interface Cutting {
  readonly tokens: readonly string[];
  readonly cutShare: number;
  readonly pieceA: number;
  readonly pieceB: number;
}

const endings = fc.record({
  api: fc.constantFrom<Api>('chat', 'completions'),
  usage: fc.constantFrom<EngineStream['usage']>('none', 'end', 'running'),
  ids: fc.boolean(),
  lineEnd: fc.constantFrom<'\n' | '\r\n'>('\n', '\r\n'),
});

describe('streams of several engines', () => {
  it('make up one answer, wherever and however the first is cut', () => {
    const cuttings = fc.record({
      tokens: fc.array(token, { minLength: 1, maxLength: 8 }).map((tokens) => [...tokens, 'end.']),
      cutShare: fc.double({ min: 0, max: 1, noNaN: true }),
      pieceA: fc.integer({ min: 1, max: 700 }),
      pieceB: fc.integer({ min: 1, max: 700 }),
    });
    fc.assert(fc.property(endings, cuttings, checkCut), { numRuns: 400 });
  });

  it.each<Api>(['chat', 'completions'])('make up one answer, cut at each byte: %s', (api) => {
    const stream = { api, usage: 'end', ids: false, lineEnd: '\n' } as const;
    const tokens = ['Hel', 'lo', '', ' "😀"\n', 'end.'];
    const { length } = streamOf({ ...stream, tokens, prompt: promptTokens, id: 'a', created: 1 });
    for (let cut = 1; cut <= length; cut++) {
      checkCut(stream, { tokens, cutShare: (cut + 0.5) / length, pieceA: 1000, pieceB: 90 });
    }
  });

  it('pass unchanged while nothing breaks off, cut anywhere', () => {
    const whole = streamOf({
      ...{ api: 'chat', id: 'a', created: 1, tokens: ['Hel', 'lo', '', ' 😀'], prompt: 3 },
      ...{ usage: 'end', ids: true, lineEnd: '\n' },
    });
    const odd = Buffer.concat([Buffer.from(': hello\n\n\n'), whole, Buffer.from('\n: bye')]);
    for (let piece = 1; piece <= odd.length; piece++) {
      const splice = new StreamSplice({ api: 'chat', bytesMax });
      const passed = pushed(splice, odd, piece);
      expect(Buffer.concat([passed, splice.flush()]).equals(odd)).toBe(true);
    }
  });

  it('leave out the white space that the next engine repeats', () => {
    const event = (content: string): string =>
      `data: ${JSON.stringify({ id: 'a', created: 1, model: 'm', choices: [{ index: 0, delta: { content } }] })}\n\n`;
    for (const [pieces, text] of [
      [['\n', '\n', 'b'], 'a\n\nb'],
      [['\n\n', '\nb'], 'a\n\n\nb'],
      [['\n b', '\n'], 'a\n\n b\n'],
      [['b', '\n'], 'a\n\nb\n'],
    ] as const) {
      const splice = new StreamSplice({ api: 'chat', bytesMax });
      const seen = [Buffer.from(splice.push(Buffer.from(event('a\n\n'))))];
      splice.interrupt();
      splice.expect(null, '\n\n');
      for (const piece of pieces) seen.push(Buffer.from(splice.push(Buffer.from(event(piece)))));
      expect([read(Buffer.concat(seen)).text, textOf(splice)]).toEqual([text, text]);
    }
  });

  it('are no answer if they are not JSON, report an error, or abort', () => {
    for (const data of [
      'x',
      '[]',
      '{"error":{"message":"no","code":500}}',
      '{"error":"no"}',
      '{"choices":[7]}',
      '{"choices":[[]]}',
    ]) {
      const splice = new StreamSplice({ api: 'chat', bytesMax });
      const bad = Buffer.from(`: hello\n\ndata: ${data}\n\ndata: [DONE]\n\n`);
      expect(splice.push(bad).toString()).toBe(': hello\n\n');
      expect(splice.fault).not.toBeNull();
      expect(splice.flush().toString()).toBe(`data: ${data}\n\ndata: [DONE]\n\n`);
    }
  });

  it('take values of any type in the place of any other', () => {
    const any = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom('', ' ', 'x', 0, 1.5, null, [], ['a'], [[]], {}, { content: 'x' }, { role: ['a'] }),
      // Neither of them turns into a text or a number.
      fc.constantFrom({ toString: 1 }, [{ toString: 1 }], { message: { toString: 1 } }),
    );
    const some = <T extends string>(names: readonly T[], one: fc.Arbitrary<unknown>): fc.Arbitrary<object> =>
      fc.record(Object.fromEntries(names.map((name) => [name, one])), { requiredKeys: [] });
    const delta = fc.oneof(any, some(['role', 'content', 'reasoning', 'tool_calls', 'refusal'], any));
    const choice = fc.oneof(
      any,
      fc
        .tuple(some(['index', 'text', 'token_ids', 'prompt_token_ids', 'finish_reason'], any), some(['delta'], delta))
        .map(([rest, message]) => ({ ...rest, ...message })),
    );
    const usage = fc.oneof(any, some(['prompt_tokens', 'completion_tokens', 'prompt_tokens_details'], any));
    const chunk = fc
      .tuple(some(['id', 'created', 'model', 'error'], any), fc.oneof(any, fc.array(choice, { maxLength: 2 })), usage)
      .map(([names, choices, told]) => ({ ...names, choices, usage: told }));
    const property = fc.property(fc.constantFrom<Api>('chat', 'completions'), fc.array(chunk), (api, chunks) => {
      const splice = new StreamSplice({ api, bytesMax });
      for (const one of chunks) {
        splice.push(Buffer.from(`data: ${JSON.stringify(one)}\n\n`));
        splice.interrupt();
        splice.expect(null);
      }
      expect(() => textOf(splice)).not.toThrow();
    });
    const odd = { toString: 1 };
    const examples: [Api, object[]][] = [
      ['chat', [{ choices: [{ delta: ['a'] }], usage: null }]],
      ['chat', [{ error: { message: odd } }]],
      ['completions', [{ choices: [{ text: 'a', token_ids: [odd] }] }]],
    ];
    fc.assert(property, { numRuns: 500, examples: examples as never });
  });

  it('go on with token ids only if they are some', () => {
    for (const ids of [[1.5], [-1], ['7'], [null], [[7]]]) {
      const splice = new StreamSplice({ api: 'completions', bytesMax });
      const told = { choices: [{ index: 0, text: 'a', token_ids: ids }] };
      splice.push(Buffer.from(`data: ${JSON.stringify(told)}\n\n`));
      expect([splice.unfit, splice.ids]).toEqual(['character', null]);
    }
  });

  it('keep no more white space at the end than an engine repeats', () => {
    const event = (content: string): Buffer =>
      Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
    const splice = new StreamSplice({ api: 'chat', bytesMax });
    for (let i = 0; i < 256; i++) splice.push(event(' '));
    expect(splice.spaceAtEnd).toBe(' '.repeat(256));
    for (let i = 0; i < 3; i++) splice.push(event('\n'));
    expect([splice.spaceAtEnd, textOf(splice)]).toEqual(['', `${' '.repeat(256)}\n\n\n`]);
    splice.push(event('a \n'));
    expect(splice.spaceAtEnd).toBe(' \n');
  });

  it('pass as they come once they exceed a limit', () => {
    const memory = { take: () => undefined, give: () => undefined };
    const token = (text: string): Buffer => Buffer.from(`data: {"choices":[{"index":0,"text":"${text}"}]}\n\n`);
    const long = new StreamSplice({ api: 'completions', bytesMax: 5, hold: memory });
    expect(long.push(token('123456')).equals(token('123456'))).toBe(true);
    expect(long.unfit).toBe('continuedBytesMax');
    const wide = new StreamSplice({ api: 'completions', bytesMax, hold: memory });
    const half = Buffer.alloc(StreamSplice.eventBytesMax, 'x');
    expect(wide.push(half).length + wide.push(half).length + wide.push(token('a')).length).toBe(
      2 * half.length + token('a').length,
    );
    expect(wide.unfit).toBe('eventBytesMax');
    const full = {
      take: () => {
        throw new Error('full');
      },
      give: () => undefined,
    };
    const poor = new StreamSplice({ api: 'completions', bytesMax, hold: full });
    expect(poor.push(Buffer.concat([token('a'), Buffer.from('data: ')])).toString()).toBe(`${token('a')}data: `);
    expect(poor.unfit).toBe('answersBytesMax');
  });
});
