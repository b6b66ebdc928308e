import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compactJson } from '../../src/tokens/compact-json.ts';
import { parseJson } from '../../src/tokens/exact-json.ts';

const texts = [
  '{"b":1.0,"10":[],"2":{},"a":[null,true,"\\u00e9\\n\\ud83d"]}',
  '[12345678901234567890,1e5,1e16,-0.0,0.1,1e-7,-5,1e999]',
  '"\\u2028"',
];

it.each(texts)('%s is written with the values that were read', (text) => {
  expect(parseJson(compactJson(parseJson(text)), { constants: true })).toEqual(parseJson(text));
});

it('any JSON is written as JSON.parse and we read it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value);
      const written = compactJson(parseJson(text));
      expect(parseJson(written)).toEqual(parseJson(text));
      expect(JSON.parse(written)).toEqual(JSON.parse(text));
    }),
  );
});
