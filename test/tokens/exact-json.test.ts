// JSON as Python reads it: compared with JSON.parse where both agree, and by examples where they differ.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonText, parseJson } from '../../src/tokens/exact-json.ts';
import { type JsonOptions, JsonReader } from '../../src/tokens/json-reader.ts';
import {
  type Json,
  JsonError,
  JsonFloat,
  jsonDepthMax,
  jsonNameCharsMax,
  jsonValuesMax,
} from '../../src/tokens/json-values.ts';

/** Parses in steps of `units`. */
function parseInSteps(text: string, units: number, options: JsonOptions = {}): Json {
  const reader = new JsonReader(text, options);
  while (!reader.read(units));
  return reader.value;
}

/** The value as JSON.parse would return it. */
function plain(value: unknown): unknown {
  if (value instanceof JsonFloat) return value.value + 0;
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint32Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
  return value;
}

function failure(text: string, options: JsonOptions = {}): JsonError {
  try {
    parseJson(text, options);
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
  throw new Error(`it took ${text.slice(0, 50)}`);
}

describe('a value', () => {
  it('equals JSON.parse, in steps of any size', () => {
    fc.assert(
      fc.property(
        fc.json({ maxDepth: 5 }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        (text, units, tokenLists) => {
          const expected: unknown = JSON.parse(text, (_name, value) => (value === 0 ? 0 : value));
          fc.pre(!text.includes('__proto__'));
          expect(plain(parseInSteps(text, units, { tokenLists }))).toEqual(expected);
        },
      ),
    );
  });

  it('is refused wherever JSON.parse refuses it', () => {
    const pieces = fc.constantFrom(
      ...'{}[],:"\\ \n\t\u0001a0123-+.eE',
      '\\u00',
      'true',
      'null',
      'nul',
      '"a":',
      '1.5',
      '"x"',
      '{"b":',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), (parts, units) => {
        const text = parts.join('');
        let takes = true;
        try {
          JSON.parse(text);
        } catch {
          takes = false;
        }
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a JSON string may not hold
        for (const hasControls of [true, /[\u0000-\u001f]/.test(text)]) {
          let took = true;
          try {
            parseInSteps(text, units, { tokenLists: true, hasControls });
          } catch (error) {
            expect(error).toBeInstanceOf(JsonError);
            took = false;
          }
          expect([text, hasControls, took]).toEqual([text, hasControls, takes]);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('distinguishes floats from integers, and keeps integers exact', () => {
    const floats = ['1.0', '0.0', '-0.0', '1E5', '1e16', '1e-7', '1e400'];
    for (const text of floats) expect(parseJson(text)).toEqual(new JsonFloat(Number(text)));
    expect(parseJson('[0,-0,-5,9007199254740991,9007199254740993,123456789012345678901234567890]')).toEqual([
      0,
      0,
      -5,
      9007199254740991,
      9007199254740993n,
      123456789012345678901234567890n,
    ]);
  });

  it('keeps the order of members; of equal names the last value counts, in the first place', () => {
    const value = parseJson('{"b":1,"10":2,"2":3,"__proto__":4,"b":5}') as ReadonlyMap<string, Json>;
    expect([...value]).toEqual([
      ['b', 5],
      ['10', 2],
      ['2', 3],
      ['__proto__', 4],
    ]);
  });

  it("may be one of Python's constants, if allowed", () => {
    expect(parseJson('[NaN,Infinity,-Infinity]', { constants: true })).toEqual([
      new JsonFloat(Number.NaN),
      new JsonFloat(Number.POSITIVE_INFINITY),
      new JsonFloat(Number.NEGATIVE_INFINITY),
    ]);
    expect(failure('NaN').limit).toBe(null);
  });

  it('is limited in depth, values, names and digits', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(parseJson(nested(jsonDepthMax))).toBeInstanceOf(Array);
    expect(failure(nested(jsonDepthMax + 1)).limit).toBe('jsonDepthMax');
    expect(failure(nested(1_000_000)).limit).toBe('jsonDepthMax');
    expect(failure(`[${'1,'.repeat(jsonValuesMax)}1]`).limit).toBe('jsonValuesMax');
    const named = (chars: number): string => `[{"${'n'.repeat(chars)}":1}]`;
    expect(parseJson(named(jsonNameCharsMax))).toBeInstanceOf(Array);
    expect(failure(named(jsonNameCharsMax + 1)).limit).toBe('jsonNameCharsMax');
    expect(failure('1'.repeat(5000)).limit).toBe('integerDigitsMax');
  });

  it('may be a long list of token ids, which counts as one value', () => {
    const ids = Array.from({ length: jsonValuesMax + 10 }, (_, i) => i * 7);
    const read = parseInSteps(JSON.stringify([ids, [0, 4294967295], [1, 4294967296], [1, 'a'], []]), 100, {
      tokenLists: true,
    });
    expect(read).toEqual([Uint32Array.from(ids), Uint32Array.of(0, 4294967295), [1, 4294967296], [1, 'a'], []]);
  });
});

it('keeps lists of token ids only where it is told to', () => {
  const text = '{"a":[1,2],"b":{"a":[3,4]},"c":[{"a":[5,6]}]}';
  const kept = (tokenLists: (depth: number, names: readonly string[]) => boolean) => parseJson(text, { tokenLists });
  const lists = (read: Json): unknown[] => {
    const object = read as ReadonlyMap<string, ReadonlyMap<string, Json>>;
    const inList = (object.get('c') as unknown as ReadonlyMap<string, Json>[])[0];
    return [object.get('a'), object.get('b')!.get('a'), inList!.get('a')];
  };
  expect(lists(kept((depth, names) => depth === 1 && names[0] === 'a'))).toEqual([
    Uint32Array.of(1, 2),
    [3, 4],
    [5, 6],
  ]);
  expect(lists(kept((depth, names) => depth === 3 && names[0] === 'c' && names[2] === 'a'))).toEqual([
    [1, 2],
    [3, 4],
    Uint32Array.of(5, 6),
  ]);
});

describe('the members of the outermost object', () => {
  it('are returned with their texts', () => {
    const text = ' { "a" : [1, {"a": 2}] ,"b":"x\\"}", "c" : 1.0 , "a":\n {"q":[]}}  ';
    const reader = new JsonReader(text);
    while (!reader.read(1));
    const texts = [...reader.members].map(([name, { start, end }]) => [name, text.slice(start, end)]);
    expect(texts).toEqual([
      ['a', '{"q":[]}'],
      ['b', '"x\\"}"'],
      ['c', '1.0'],
    ]);
    expect([...reader.repeated]).toEqual(['a']);
  });

  it('are repeated however their names are written, but not by inner objects', () => {
    const repeatedIn = (text: string): string[] => {
      const reader = new JsonReader(text);
      while (!reader.read(1));
      return [...reader.repeated];
    };
    expect(repeatedIn('{"model":1,"\\u006dodel":2,"b":0}')).toEqual(['model']);
    expect(repeatedIn('{"model":1,"b":{"model":2,"c":1,"c":2}}')).toEqual([]);
    expect(repeatedIn('[{"a":1,"a":2}]')).toEqual([]);
  });
});

describe('JsonText', () => {
  it('has the text and its value', () => {
    expect(new JsonText('[1.0]').value).toEqual([new JsonFloat(1)]);
    expect(JsonText.of({ a: [1] }).text).toBe('{"a":[1]}');
    expect(() => new JsonText('[').value).toThrow(JsonError);
  });
});
