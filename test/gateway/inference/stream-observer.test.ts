import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamObserver } from '../../../src/gateway/inference/stream-observer.ts';
import { observeNaively } from '../../model/naive-stream-observer.ts';

interface Seen {
  readonly calls: string[];
  readonly tokens: Map<number, number>;
  readonly observer: StreamObserver;
}

function observe(pieces: readonly Buffer[], choices = 1): Seen {
  const calls: string[] = [];
  const tokens = new Map<number, number>();
  const observer = new StreamObserver(choices, {
    tokens: (choice, count) => {
      calls.push(`${choice}+${count}`);
      tokens.set(choice, (tokens.get(choice) ?? 0) + count);
    },
    totalTokens: (count) => {
      calls.push(`=${count}`);
      tokens.set(0, count);
    },
  });
  for (const piece of pieces) observer.push(piece);
  return { calls, tokens, observer };
}

function events(...values: unknown[]): Buffer {
  return Buffer.from(
    values.map((value) => `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`).join(''),
  );
}

const delta = (fields: object, finish: string | null = null, index = 0) => ({
  choices: [{ index, delta: fields, logprobs: null, finish_reason: finish }],
});
const role = delta({ role: 'assistant', content: '' });
const usage = (completion: number, cached?: number) => ({
  prompt_tokens: 14,
  total_tokens: 14 + completion,
  completion_tokens: completion,
  ...(cached !== undefined && { prompt_tokens_details: { cached_tokens: cached } }),
});

describe('StreamObserver', () => {
  it('does not count the opening of a chat message as a token', () => {
    expect(observe([events(role)]).calls).toEqual([]);
    expect(observe([events(delta({ role: 'assistant', content: null }))]).calls).toEqual([]);
    expect(observe([events(delta({}))]).calls).toEqual([]);
  });

  it('counts content, reasoning, tool calls and text as tokens, also empty text', () => {
    for (const chunk of [
      delta({ content: 'a' }),
      delta({ content: '' }),
      delta({ role: 'assistant', content: 'a' }),
      delta({ reasoning: 'a' }),
      delta({ reasoning_content: '' }),
      delta({ tool_calls: [{ index: 0, function: { arguments: '{' } }] }),
      { choices: [{ index: 0, text: '', finish_reason: null }] },
      { choices: [{ index: 0, text: 'a', finish_reason: 'length' }] },
    ]) {
      expect(observe([events(role, chunk)]).calls).toEqual(['0+1']);
    }
  });

  it('skips comments and [DONE], and counts chunks that are not JSON', () => {
    const { calls, observer } = observe([Buffer.from(': ping\n\ndata: {"cut\n\ndata: [DONE]\n\n')]);
    expect(calls).toEqual([]);
    expect(observer.complete).toBe(true);
    expect(observer.malformedChunks).toBe(1);
  });

  it('counts token ids if a chunk has them', () => {
    const chunk = { choices: [{ index: 0, text: 'abc', token_ids: [1, 2, 3], finish_reason: null }] };
    expect(observe([events(chunk, chunk)]).calls).toEqual(['0+3', '0+3']);
  });

  it('counts by the running usage, and corrects itself by the final one', () => {
    const running = { ...delta({ content: 'abc' }), usage: usage(3) };
    const { calls, observer } = observe([
      events(
        role,
        running,
        delta({ content: 'd' }),
        delta({ content: 'ef' }),
        { choices: [], usage: usage(6, 8) },
        '[DONE]',
      ),
    ]);
    expect(calls).toEqual(['0+3', '0+1', '0+1', '=6']);
    expect(observer.outputTokens).toBe(6);
    expect(observer.usage).toEqual({ promptTokens: 14, completionTokens: 6, cachedTokens: 8 });
  });

  it('counts each choice, and leaves their sum unchanged', () => {
    const { calls } = observe(
      [events(delta({ content: 'a' }, null, 1), delta({ content: 'b' }, null, 0), { choices: [], usage: usage(9) })],
      2,
    );
    expect(calls).toEqual(['1+1', '0+1']);
  });

  it('recognizes an error in the stream, with and without spaces', () => {
    const error = '{"error": {"message": "boom", "type": "InternalServerError", "param": null, "code": 500}}';
    const { observer } = observe([events(role, delta({ content: 'a' }), error, '[DONE]')]);
    expect(observer.error).toBe('boom');
    expect(observe([events({ error: { message: 'boom' } })]).observer.error).toBe('boom');
  });

  it('takes an error whose message is no text', () => {
    for (const message of [{ toString: 1 }, [{ toString: 1 }], null, undefined, 7]) {
      expect(observe([events({ error: { message } })]).observer.error).not.toBeNull();
    }
    expect(observe([events({ error: [{ toString: 1 }] })]).observer.error).not.toBeNull();
  });

  it('distinguishes a complete answer from a cut one', () => {
    expect(observe([events(role, delta({ content: 'a' }))]).observer.complete).toBe(false);
    expect(observe([events(role, delta({ content: 'a' }, 'stop'))]).observer.complete).toBe(true);
  });

  it('is not misled by text that looks like fields', () => {
    const texts = [
      '"usage":{"completion_tokens":99}',
      '"token_ids":[1,2]',
      '{"error": 1}',
      '[DONE]',
      'finish_reason":null',
    ];
    const chunks = texts.map((text) => delta({ content: text }));
    const { tokens, observer } = observe([events(role, ...chunks)]);
    expect(tokens.get(0)).toBe(texts.length);
    expect(observer.error).toBe(null);
    expect(observer.complete).toBe(false);
  });

  it('equals a naive reading wherever the bytes are cut', () => {
    const text = fc.oneof(
      fc.constant(''),
      fc.string(),
      fc.constantFrom('é', '🧭', '\n\n', 'data: x', 'usage":{', '"}'),
    );
    const finish = fc.constantFrom(null, null, null, 'stop');
    const chunk = (choices: number) =>
      fc
        .record({
          index: fc.nat(choices - 1),
          finish_reason: finish,
          body: fc.oneof(
            text.map((content) => ({ delta: { content } })),
            text.map((content) => ({ delta: { role: 'assistant', content } })),
            text.map((reasoning) => ({ delta: { reasoning } })),
            text.map((value) => ({ text: value })),
            fc.array(fc.nat(), { maxLength: 4 }).map((ids) => ({ text: 'x', token_ids: ids })),
            fc.constant({ delta: {} }),
          ),
          spaced: fc.boolean(),
          usage: fc.option(fc.integer({ min: 1, max: 50 }), { freq: 5 }),
        })
        .map(({ body, usage: running, spaced, ...rest }) => {
          const value = { choices: [{ ...rest, ...body }], ...(running !== null && { usage: usage(running) }) };
          const json = JSON.stringify(value);
          // Another serializer: spaces after colons and commas between fields, never inside strings.
          return `data: ${spaced ? JSON.stringify(value, null, 1).replace(/\n */g, ' ') : json}`;
        });
    const stream = fc.integer({ min: 1, max: 3 }).chain((choices) =>
      fc.tuple(
        fc.constant(choices),
        fc.array(
          fc.oneof(
            { weight: 8, arbitrary: chunk(choices) },
            { weight: 1, arbitrary: fc.constantFrom(': ping', 'data: [DONE]', 'event: x') },
          ),
          {
            maxLength: 12,
          },
        ),
        fc.constantFrom('\n\n', '\r\n\r\n'),
      ),
    );
    fc.assert(
      fc.property(stream, fc.infiniteStream(fc.integer({ min: 1, max: 40 })), ([choices, lines, end], cuts) => {
        const whole = lines.map((line) => line + end).join('');
        const bytes = Buffer.from(whole);
        const pieces: Buffer[] = [];
        for (let at = 0; at < bytes.length; ) {
          const length = cuts.next().value as number;
          pieces.push(bytes.subarray(at, at + length));
          at += length;
        }
        const naive = observeNaively(whole, choices);
        for (const way of [[bytes], pieces, [...bytes].map((byte) => Buffer.from([byte]))]) {
          const { tokens, observer } = observe(way, choices);
          expect([...tokens].sort()).toEqual([...naive.tokens].sort());
          expect(observer.complete).toBe(naive.complete);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('counts the same for streams of like chunks, whatever is in their text and however many come at once', () => {
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('', '"', '\\', 'usage":{', 'error":', '\n\ndata: x', 'finish_reason":null'),
    );
    const value = fc.oneof(
      { weight: 12, arbitrary: text.map((content) => delta({ content })) },
      text.map((content) => ({ ...delta({ content }), usage: usage(5) })),
      text.map((content) => ({ choices: [{ index: 0, text: content, finish_reason: null, token_ids: [1, 2] }] })),
      fc.constant(delta({ content: 'end' }, 'stop')),
    );
    const pieces = fc.array(fc.array(value, { minLength: 1, maxLength: 4 }), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, fc.constantFrom('\n\n', '\r\n\r\n'), (all, end) => {
        const texts = all.map((some) => some.map((one) => `data: ${JSON.stringify(one)}${end}`).join(''));
        const naive = observeNaively(texts.join(''), 1);
        const { tokens, observer } = observe(texts.map((piece) => Buffer.from(piece)));
        expect([...tokens]).toEqual([...naive.tokens]);
        expect(observer.complete).toBe(naive.complete);
      }),
      { numRuns: 500 },
    );
  });

  it('counts a long stream of like chunks, and the one of another kind in it', () => {
    const like = (count: number): Buffer[] =>
      Array.from({ length: count }, (_, i) => events(delta({ content: ` ${i}` })));
    const two = events({ choices: [{ index: 0, delta: { content: 'ab' }, finish_reason: null, token_ids: [1, 2] }] });
    const { calls, observer } = observe([events(role), ...like(50), two, ...like(50), events(delta({}, 'stop'))]);
    expect(observer.outputTokens).toBe(102);
    expect(calls.filter((call) => call === '0+2')).toHaveLength(1);
    expect(observer.complete).toBe(true);
  });
});
