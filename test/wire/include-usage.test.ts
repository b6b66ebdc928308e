import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { usageEdit } from '../../src/wire/include-usage.ts';
import { editSpans } from '../../src/wire/json-members.ts';
import { askNaively } from '../model/naive-usage.ts';
import { jsonName, jsonObject, jsonValue, type Member } from './json-texts.ts';

function askForUsage(body: Buffer): Buffer | null {
  const edit = usageEdit(body);
  return edit === null ? null : editSpans(body, [edit]);
}

const ask = (text: string): string | null => askForUsage(Buffer.from(text))?.toString('utf8') ?? null;

describe('asking for usage', () => {
  it.each([
    ['no options', '{"model":"m","n":1}', '{"stream_options":{"include_usage":true},"model":"m","n":1}'],
    ['an empty body', ' { } ', ' {"stream_options":{"include_usage":true} } '],
    ['null', '{"stream_options": null }', '{"stream_options": {"include_usage":true} }'],
    ['empty options', '{"stream_options":{ },"n":1}', '{"stream_options":{"include_usage":true },"n":1}'],
    ['false', '{"stream_options":{"include_usage" : false}}', '{"stream_options":{"include_usage" : true}}'],
    ['null inside', '{"stream_options":{"include_usage":null}}', '{"stream_options":{"include_usage":true}}'],
    [
      'other options',
      '{"stream_options":{"continuous_usage_stats":false}}',
      '{"stream_options":{"include_usage":true,"continuous_usage_stats":false}}',
    ],
    [
      'a name written with escapes',
      '{"stream\\u005foptions":{"include_usag\\u0065":false}}',
      '{"stream\\u005foptions":{"include_usag\\u0065":true}}',
    ],
    [
      'a repeated name: the last one counts',
      '{"stream_options":{"include_usage":true},"stream_options":null}',
      '{"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}',
    ],
    [
      'a repeated name inside',
      '{"stream_options":{"include_usage":true,"include_usage":false}}',
      '{"stream_options":{"include_usage":true,"include_usage":true}}',
    ],
    [
      'names in strings and deeper objects',
      '{"a":"\\"stream_options\\":{","b":[{"stream_options":{"include_usage":true}}],"c":"\\\\"}',
      '{"stream_options":{"include_usage":true},"a":"\\"stream_options\\":{","b":[{"stream_options":{"include_usage":true}}],"c":"\\\\"}',
    ],
    [
      'integers that no number holds',
      '{"seed":12345678901234567890,"1":0}',
      '{"stream_options":{"include_usage":true},"seed":12345678901234567890,"1":0}',
    ],
  ])('changes only that: %s', (_, body, asking) => {
    expect(ask(body)).toBe(asking);
  });

  it.each([
    ['asks itself', '{"stream_options":{"include_usage":true}}'],
    ['asks in a way that some engines take', '{"stream_options":{"include_usage":1}}'],
    ['asks for usage in every chunk', '{"stream_options":{"continuous_usage_stats":true}}'],
    ['has options of another type', '{"stream_options":["include_usage"]}'],
    ['asks itself, the last time', '{"stream_options":{},"stream_options":{"include_usage":true}}'],
  ])('does not change a request that %s', (_, body) => {
    expect(ask(body)).toBe(null);
  });

  it('keeps bytes that are not UTF-8', () => {
    const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xc3]), Buffer.from('"}')]);
    const asking = askForUsage(body)!;
    expect(asking.subarray(asking.length - body.length + 1).equals(body.subarray(1))).toBe(true);
  });

  it('changes nothing else in any object', () => {
    const option = fc.tuple(
      fc.oneof(jsonName, fc.constantFrom('include_usage', 'include_usage', 'continuous_usage_stats')),
      fc.oneof(fc.constantFrom('false', 'null', 'true', '1', '{}', '""'), jsonValue),
    );
    const options = fc.oneof(jsonObject(fc.array(option, { maxLength: 3 })), jsonValue, fc.constant('null'));
    const member: fc.Arbitrary<Member> = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(jsonName, jsonValue) },
      { weight: 2, arbitrary: fc.tuple(fc.constant('stream_options'), options) },
    );
    fc.assert(
      fc.property(jsonObject(fc.array(member, { maxLength: 5 })), (text) => {
        const body = Buffer.from(text);
        const asking = askForUsage(body);
        const expected = askNaively(JSON.parse(text) as Record<string, unknown>);
        if (asking === null || expected === null) {
          expect([asking, expected]).toEqual([null, null]);
          return;
        }
        expect(isDeepStrictEqual(JSON.parse(asking.toString('utf8')), expected)).toBe(true);
        const longestEdit = 'false'.length;
        expect(commonEnds(body, asking)).toBeGreaterThanOrEqual(body.length - longestEdit);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes linear time on long runs of escapes and brackets', () => {
    const hostile = `{"a":"${'\\\\'.repeat(1 << 20)}","b":"${'\\"'.repeat(1 << 20)}","c":${'['.repeat(3000)}${']'.repeat(3000)}}`;
    expect(ask(hostile)).toBe(`{"stream_options":{"include_usage":true},${hostile.slice(1)}`);
  });
});

/** Lengths of the common beginning and end. */
function commonEnds(before: Buffer, after: Buffer): number {
  let front = 0;
  while (front < before.length && before[front] === after[front]) front += 1;
  let back = 0;
  while (back < before.length - front && before.at(-1 - back) === after.at(-1 - back)) back += 1;
  return front + back;
}
