// Arbitrary JSON texts as a client may write them: whitespace, escapes, repeated names, numbers of any size.

import fc from 'fast-check';

const space = fc.constantFrom('', '', '', ' ', '\n', '\r\n  ', '\t');

/** Each character plain or escaped. */
export const jsonString = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  text.chain((value) =>
    fc.array(fc.boolean(), { minLength: value.length, maxLength: value.length }).map((escaped) => {
      const units = [...value].flatMap((character) => character.split(''));
      return `"${units.map((unit, i) => (escaped[i] ? unicodeEscape(unit) : JSON.stringify(unit).slice(1, -1))).join('')}"`;
    }),
  );

const unicodeEscape = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

const number = fc.constantFrom('0', '-0', '1.50', '1E2', '12345678901234567890', '-9007199254740993', '1e400', '7');
const literal = fc.constantFrom('null', 'true', 'false');
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('"', '\\', '\\"', '{', '}', ']},', '"stream_options":{}', 'a\\\\'),
);

/** A member's name and the text of its value. */
export type Member = readonly [name: string, value: string];

export function jsonObject(members: fc.Arbitrary<readonly Member[]>): fc.Arbitrary<string> {
  return members.chain((list) =>
    fc.array(space, { minLength: 4 * list.length + 1, maxLength: 4 * list.length + 1 }).chain((spaces) =>
      fc.tuple(...list.map(([name]) => jsonString(fc.constant(name)))).map((names) => {
        const written = list.map(([, value], i) => {
          const [a, b, c, d] = spaces.slice(4 * i, 4 * i + 4);
          return `${a}${names[i]}${b}:${c}${value}${d}`;
        });
        return `{${spaces.at(-1)}${written.join(',')}}`;
      }),
    ),
  );
}

const { value } = fc.letrec<{ value: string; members: readonly Member[]; object: string; array: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    jsonString(text),
    number,
    literal,
    tie('object') as fc.Arbitrary<string>,
    tie('array') as fc.Arbitrary<string>,
  ),
  members: fc.array(
    fc.tuple(fc.oneof(text, fc.constantFrom('stream_options', 'include_usage')), tie('value') as fc.Arbitrary<string>),
    { maxLength: 3 },
  ),
  object: jsonObject(tie('members') as fc.Arbitrary<readonly Member[]>),
  array: fc.array(tie('value') as fc.Arbitrary<string>, { maxLength: 3 }).map((items) => `[${items.join(' , ')}]`),
}));

export const jsonValue: fc.Arbitrary<string> = value;
export const jsonName: fc.Arbitrary<string> = text;
