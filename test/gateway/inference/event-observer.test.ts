import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventObserver } from '../../../src/gateway/inference/event-observer.ts';
import { type AnswerDialect, readDialectUsage, readWholeAnswer } from '../../../src/wire/answer-dialect.ts';

const named = (event: { readonly type: string }): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

const responseUsage = {
  input_tokens: 40,
  input_tokens_details: { cached_tokens: 32 },
  output_tokens: 5,
  total_tokens: 45,
};
const responses = [
  { type: 'response.created', response: { id: 'resp_1', status: 'in_progress', usage: null } },
  { type: 'response.in_progress', response: { id: 'resp_1', usage: null } },
  { type: 'response.output_item.added', output_index: 0, item: { type: 'message' } },
  { type: 'response.content_part.added', part: { type: 'output_text' } },
  { type: 'response.output_text.delta', delta: 'a "type":"response.x.delta"' },
  { type: 'response.output_text.delta', delta: 'b' },
  { type: 'response.output_text.done', text: 'ab' },
  { type: 'response.output_item.done', item: { type: 'message' } },
  { type: 'response.completed', response: { id: 'resp_1', usage: responseUsage } },
];
const messages = [
  { type: 'message_start', message: { usage: { input_tokens: 8, output_tokens: 0, cache_read_input_tokens: 32 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'Hm' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'x' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'ping' },
  { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Yes' } },
  { type: 'content_block_stop', index: 1 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } },
  { type: 'message_stop' },
];

interface Observed {
  readonly observer: EventObserver;
  readonly calls: string[];
}

function observe(dialect: AnswerDialect, pieces: readonly Buffer[]): Observed {
  const calls: string[] = [];
  const observer = new EventObserver(dialect, {
    tokens: (choice, count) => calls.push(`${choice}+${count}`),
    totalTokens: (count) => calls.push(`=${count}`),
  });
  for (const piece of pieces) observer.push(piece);
  return { observer, calls };
}

const observeText = (dialect: AnswerDialect, text: string): Observed => observe(dialect, [Buffer.from(text)]);

describe('a stream of the responses API', () => {
  it('begins with its first item, counts deltas, and ends with the usage and the id', () => {
    const before = observeText('responses', responses.slice(0, 2).map(named).join(''));
    expect([before.observer.begun, before.observer.complete, before.observer.responseId]).toEqual([
      false,
      false,
      'resp_1',
    ]);
    const { observer, calls } = observeText('responses', responses.map(named).join(''));
    expect(calls).toEqual(['0+0', '0+1', '0+1', '=5']);
    expect(observer).toMatchObject({ begun: true, complete: true, error: null, outputTokens: 5, responseId: 'resp_1' });
    expect(observer.usage).toEqual({ promptTokens: 40, completionTokens: 5, cachedTokens: 32 });
  });

  it('that fails tells why', () => {
    const failed = { type: 'response.failed', response: { error: { message: 'out of memory' } } };
    expect(observeText('responses', named(failed)).observer).toMatchObject({ error: 'out of memory', complete: true });
    const error = { type: 'error', message: 'bad', code: 400 };
    expect(observeText('responses', named(error)).observer).toMatchObject({ error: 'bad', errorStatus: 400 });
    expect(observeText('responses', named({ type: 'response.incomplete' })).observer).toMatchObject({
      error: null,
      complete: true,
    });
  });

  it('may have events whose type is no text', () => {
    const odd = [{ toString: 1 }, [{ toString: 1 }], null, 7].map((type) => `data: ${JSON.stringify({ type })}\n\n`);
    expect(observeText('responses', odd.join('')).calls).toEqual([]);
  });

  it('whose last event is too long to be read counts as complete', () => {
    const long = { type: 'response.completed', response: { output: 'x'.repeat(1_200_000), usage: responseUsage } };
    const { observer } = observeText('responses', responses.slice(0, 6).map(named).join('') + named(long));
    expect(observer).toMatchObject({ complete: true, usage: 'absent', outputTokens: 2 });
    observer.push(Buffer.from(named(responses[5]!)));
    expect(observer.complete).toBe(false);
  });
});

describe('a stream of the messages API', () => {
  it('begins with its first block, counts deltas, and has the usage of its first and last events', () => {
    const { observer, calls } = observeText('messages', messages.map(named).join(''));
    expect(calls).toEqual(['0+0', '0+1', '0+1', '=5']);
    expect(observer).toMatchObject({ begun: true, complete: true, error: null, outputTokens: 5, responseId: null });
    expect(observer.usage).toEqual({ promptTokens: 40, completionTokens: 5, cachedTokens: 32 });
  });

  it('that fails tells why', () => {
    const error = { type: 'error', error: { type: 'internal_error', message: 'broken' } };
    expect(observeText('messages', named(error)).observer).toMatchObject({ error: 'broken', complete: false });
  });
});

it('of any other stream each event is progress, and it may end anywhere', () => {
  const { observer, calls } = observeText('other', 'data: {"text":"a"}\n\ndata: hello\n\n');
  expect(calls).toEqual(['0+1', '0+1']);
  expect(observer).toMatchObject({ complete: true, error: null });
  expect(observeText('other', '').observer).toMatchObject({ complete: true, begun: false });
});

it.each<[AnswerDialect, readonly { readonly type: string }[]]>([
  ['responses', responses],
  ['messages', messages],
])('%s: how a stream is cut, and odd events in it, do not matter', (dialect, events) => {
  const odd = fc.constantFrom(': comment\n\n', 'data: {\n\n', 'data: []\n\n', 'data: null\n\n', 'event: x\n\n');
  const whole = observeText(dialect, events.map(named).join(''));
  const arbitrary = fc.tuple(fc.array(odd, { maxLength: 5 }), fc.array(fc.nat(3000), { maxLength: 30 }));
  fc.assert(
    fc.property(arbitrary, ([extra, cuts]) => {
      const bytes = Buffer.from(extra.map((one, i) => one + named(events[i]!)).join(''));
      const rest = Buffer.from(events.slice(extra.length).map(named).join(''));
      const all = Buffer.concat([bytes, rest]);
      const at = [0, ...cuts.map((cut) => cut % all.length).sort((a, b) => a - b), all.length];
      const { observer, calls } = observe(
        dialect,
        at.slice(1).map((end, i) => all.subarray(at[i], end)),
      );
      expect(calls).toEqual(whole.calls);
      expect(observer.usage).toEqual(whole.observer.usage);
      expect(observer.complete).toBe(true);
    }),
    { numRuns: 200 },
  );
});

describe('an answer in one piece', () => {
  const padded = (body: object): Buffer => Buffer.from(JSON.stringify({ pad: 'x'.repeat(300_000), ...body }));

  it('tells its usage and its id, however long it is', () => {
    const usage = { promptTokens: 40, completionTokens: 5, cachedTokens: 32 };
    for (const body of [
      Buffer.from(JSON.stringify({ id: 'resp_1', usage: responseUsage })),
      padded({ id: 'resp_1', usage: responseUsage }),
    ]) {
      expect(readWholeAnswer('responses', body)).toEqual({ usage, responseId: 'resp_1' });
      expect(readWholeAnswer('messages', Buffer.from('{"id":"msg_1"}'))).toEqual({ usage: 'absent', responseId: null });
    }
    for (const body of ['', 'no', '[]', '7', '{"usage":3}', 'x'.repeat(300_000)]) {
      expect(readWholeAnswer('responses', Buffer.from(body))).toEqual({ usage: 'absent', responseId: null });
    }
    expect(readWholeAnswer('responses', padded({ id: 'x'.repeat(1000) })).responseId).toBeNull();
  });

  it('has a usage in the words of its API', () => {
    const cached = { input_tokens: 3, cache_creation_input_tokens: 5, cache_read_input_tokens: 7, output_tokens: 2 };
    expect(readDialectUsage('messages', cached)).toEqual({ promptTokens: 15, completionTokens: 2, cachedTokens: 7 });
    expect(readDialectUsage('messages', { input_tokens: 3, output_tokens: 2 })).toEqual({
      promptTokens: 3,
      completionTokens: 2,
      cachedTokens: null,
    });
    expect(readDialectUsage('messages', { input_tokens: 'x', output_tokens: 2 })).toBe('malformed');
    expect(readDialectUsage('other', { type: 'duration', seconds: 3 })).toBe('absent');
    expect(readDialectUsage('other', { prompt_tokens: 3, total_tokens: 3 })).toMatchObject({ promptTokens: 3 });
    expect(readDialectUsage('other', null)).toBe('absent');
  });
});
