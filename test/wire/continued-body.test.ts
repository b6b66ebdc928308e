import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asksForUsage, continuedBody, type GivenText } from '../../src/wire/continued-body.ts';

type Body = Record<string, unknown>;

const given = (text: string, tokens: number, ids: readonly number[] | null = null): GivenText => ({
  text: Buffer.from(JSON.stringify(text).slice(1, -1)),
  tokens,
  ids,
});

/** The same by parsing and changing values. */
function continuedNaively(body: Body, api: 'chat' | 'completions', text: string, tokens: number, ids: number[]): Body {
  const changed = structuredClone(body);
  const names = api === 'chat' ? ['max_completion_tokens', 'max_tokens'] : ['max_tokens'];
  if (api === 'completions') changed['max_tokens'] ??= 16;
  for (const name of names) {
    if (typeof changed[name] === 'number') changed[name] = Math.max(1, changed[name] - tokens);
  }
  if (typeof changed['min_tokens'] === 'number') changed['min_tokens'] = Math.max(0, changed['min_tokens'] - tokens);
  if (api === 'chat') {
    (changed['messages'] as object[]).push({ role: 'assistant', content: text });
    return { ...changed, ['continue_final_message']: true, ['add_generation_prompt']: false };
  }
  const follow = (prompt: unknown): unknown => {
    if (typeof prompt === 'string') return prompt + text;
    const [first] = prompt as readonly unknown[];
    return typeof first === 'number' ? [...(prompt as number[]), ...ids] : [follow(first)];
  };
  changed['prompt'] = follow(changed['prompt']);
  return changed;
}

const count = fc.option(fc.integer({ min: 1, max: 200 }), { nil: null });
const extra = fc.dictionary(fc.constantFrom('10', '2', 'stop', 'é', '__x'), fc.jsonValue({ maxDepth: 2 }), {
  maxKeys: 4,
});
const limits = fc.record({ max_tokens: count, max_completion_tokens: count, min_tokens: count }, { requiredKeys: [] });
const ids = fc.array(fc.nat(200_000), { minLength: 1, maxLength: 5 });
const prompt = fc.oneof(
  fc.string(),
  fc.string().map((one) => [one]),
  ids,
  ids.map((list) => [list]),
);
const messages = fc.array(fc.record({ role: fc.constant('user'), content: fc.string() }), {
  minLength: 1,
  maxLength: 3,
});
const space = fc.constantFrom(undefined, 1, '\t');

describe('the body for another engine', () => {
  it('says the same as one that is parsed and changed', () => {
    const text = fc.string({ minLength: 1, unit: 'binary' });
    const chat = fc.record({ api: fc.constant('chat' as const), own: fc.record({ messages }) });
    const completion = fc.record({ api: fc.constant('completions' as const), own: fc.record({ prompt }) });
    fc.assert(
      fc.property(
        fc.oneof(chat, completion),
        limits,
        extra,
        text,
        fc.integer({ min: 1, max: 250 }),
        ids,
        space,
        (...[{ api, own }, limit, more, said, tokens, outputIds, indent]) => {
          const body = JSON.parse(JSON.stringify({ ...more, ...own, ...limit })) as Body;
          const bytes = Buffer.from(JSON.stringify(body, null, indent));
          const changed = continuedBody(bytes, api, given(said, tokens, outputIds));
          expect(JSON.parse(changed.toString('utf8'))).toEqual(continuedNaively(body, api, said, tokens, outputIds));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps every other byte', () => {
    const body =
      '{"x":1.0,"seed":12345678901234567890,"10":1e5,"2":2, "messages" : [ {"role":"user","content":"\\u00e9"} ] }';
    const changed = continuedBody(Buffer.from(body), 'chat', given('so "far"', 3)).toString('utf8');
    expect(changed).toBe(
      '{"continue_final_message":true,"add_generation_prompt":false,"x":1.0,"seed":12345678901234567890,"10":1e5,"2":2,' +
        ' "messages" : [ {"role":"user","content":"\\u00e9"} ,{"role":"assistant","content":"so \\"far\\""}] }',
    );
  });

  it('changes the fields that count where they are there twice', () => {
    const body = '{"prompt":"a","max_tokens":5,"prompt":"b","max_tokens":9}';
    const changed = continuedBody(Buffer.from(body), 'completions', given('c', 2)).toString('utf8');
    expect(changed).toBe('{"prompt":"a","max_tokens":5,"prompt":"bc","max_tokens":7}');
  });
});

describe('a wish for the usage', () => {
  it.each([
    ['{}', false],
    ['{"stream_options":null}', false],
    ['{"stream_options":{"include_usage":false}}', false],
    ['{"stream_options":{"include_usage":true}}', true],
  ])('%s', (body, asks) => expect(asksForUsage(Buffer.from(body))).toBe(asks));
});
