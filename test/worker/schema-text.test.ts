import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Random } from '../../src/core/random.ts';
import { ApiError } from '../../src/worker/api-error.ts';
import { schemaTextMax, textForSchema } from '../../src/worker/schema-text.ts';

type JsonSchema = Parameters<typeof z.fromJSONSchema>[0];

function write(schema: unknown, seed = 1): string {
  return textForSchema(schema, new Random(seed), 'response_format');
}

/** Validates with zod, which the implementation does not use. */
function expectConforming(schema: object, seeds = 20): void {
  const judge = z.fromJSONSchema(schema as JsonSchema);
  for (let seed = 0; seed < seeds; seed++) {
    const text = write(schema, seed);
    expect(judge.safeParse(JSON.parse(text)).error?.issues, text).toBeUndefined();
  }
}

const person = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 3, maxLength: 12 },
    age: { type: 'integer', minimum: 18, exclusiveMaximum: 99 },
    height: { type: 'number', exclusiveMinimum: 1.5, maximum: 2 },
    role: { enum: ['admin', 'user', 7, null] },
    tags: { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 3 },
    pet: { anyOf: [{ $ref: '#/$defs/pet' }, { type: 'null' }] },
    born: { type: 'string', format: 'date' },
    kind: { const: 'person' },
  },
  required: ['name', 'age', 'role'],
  additionalProperties: false,
  $defs: {
    pet: {
      type: 'object',
      properties: {
        friends: { type: 'array', items: { $ref: '#/$defs/pet' } },
        legs: { type: 'integer', multipleOf: 2 },
      },
      required: ['legs', 'friends'],
    },
  },
};

describe('textForSchema', () => {
  it.each<[string, object]>([
    ['objects, bounds, references', person],
    ['tuples', { type: 'array', prefixItems: [{ type: 'integer' }, { type: 'boolean' }], items: false }],
    ['several types', { type: ['integer', 'null', 'string'] }],
    ['numbers between bounds', { type: 'integer', minimum: -7, maximum: -5 }],
    ['multiples', { type: 'integer', multipleOf: 7, minimum: 50 }],
    [
      'names with quotes and other alphabets',
      { type: 'object', properties: { 'a"b': { const: 'ü\n' } }, required: ['a"b'] },
    ],
    [
      'all of',
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
          { properties: { b: { type: 'boolean' } }, required: ['b'] },
        ],
      },
    ],
  ])('conforms: %s', (_what, schema) => expectConforming(schema));

  it('conforms to random schemas', () => {
    const schema = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.record({ type: fc.constantFrom('string', 'boolean', 'null', 'number') }),
        fc
          .tuple(fc.integer({ min: -1000, max: 1000 }), fc.nat(50))
          .map(([minimum, room]) => ({ type: 'integer', minimum, maximum: minimum + room })),
        fc
          .tuple(fc.nat(20), fc.nat(20))
          .map(([minLength, room]) => ({ type: 'string', minLength, maxLength: minLength + room })),
        fc
          .array(fc.oneof(fc.string(), fc.integer(), fc.boolean()), { minLength: 1, maxLength: 4 })
          .map((values) => ({ enum: values })),
        fc.record({ type: fc.constant('array'), items: tie('any'), minItems: fc.nat(3) }),
        fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), tie('any'), { maxKeys: 4 }).map((properties) => ({
          type: 'object',
          properties,
          required: Object.keys(properties).slice(1),
          additionalProperties: false,
        })),
        fc.array(tie('any'), { minLength: 1, maxLength: 3 }).map((branches) => ({ anyOf: branches })),
      ),
    })).any;
    fc.assert(
      fc.property(schema, fc.nat(), (one, seed) => {
        const value: unknown = JSON.parse(write(one, seed));
        expect(z.fromJSONSchema(one as JsonSchema).safeParse(value).error?.issues).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  const deep = (depth: number): object => {
    let schema: object = { type: 'string' };
    for (let level = 0; level < depth; level++) schema = { type: 'array', items: schema, minItems: 1 };
    return schema;
  };
  it.each<[string, unknown, RegExp]>([
    ['no schema', 7, /is not a JSON schema/],
    ['an unknown type', { type: 'many' }, /unknown type/],
    ['a keyword that is not followed', { type: 'string', pattern: '^(a+)+$' }, /keyword pattern/],
    ['one that nothing conforms to', { type: 'integer', minimum: 5, maximum: 4 }, /no value satisfies/],
    ['a deep one', deep(200), /nested deeper/],
    ['a very deep one', deep(100_000), /nested deeper/],
    [
      'a wide one',
      { type: 'object', properties: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`p${i}`, true])) },
      /more than 2048 values/,
    ],
    ['endless recursion', { $defs: { a: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' }, /nested deeper/],
    [
      'recursion without an end',
      { type: 'object', properties: { next: { $ref: '#' } }, required: ['next'] },
      /nested deeper/,
    ],
    ['a tree without an end', { type: 'array', minItems: 50, items: { $ref: '#' } }, /needs more|nested deeper/],
    ['a reference to nothing', { $ref: '#/$defs/none' }, /refers to nothing/],
    ['a reference to elsewhere', { $ref: 'https://example.com/s.json' }, /another document/],
    ['a huge text', { type: 'string', minLength: 1e9 }, /no value satisfies/],
    ['a huge list', { type: 'array', minItems: 1e9, items: true }, /no value satisfies/],
    [
      'much text',
      { type: 'array', minItems: 1000, items: { type: 'string', minLength: 1000 } },
      /more than 65536 characters/,
    ],
    ['an empty choice', { enum: [] }, /empty enum/],
  ])('refuses %s', (_what, schema, message) => {
    expect(() => write(schema)).toThrow(ApiError);
    expect(() => write(schema)).toThrow(message);
  });

  it('does not write more than its limit', () => {
    expect(write({ type: 'string', minLength: 60_000 }).length).toBeLessThanOrEqual(schemaTextMax);
  });
});
