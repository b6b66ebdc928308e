import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { answerShape } from '../../../src/gateway/engines/engine-limits.ts';
import { type JsonLimits, JsonShape, jsonNestingMax } from '../../../src/gateway/engines/json-shape.ts';

const unlimited: JsonLimits = { containersMax: Infinity, stringsMax: Infinity, commasMax: Infinity };

interface Counts {
  containers: number;
  strings: number;
  commas: number;
  depth: number;
}

/** The naive twin: counts in the parsed value. */
function countsOf(value: unknown): Counts {
  if (typeof value === 'string') return { containers: 0, strings: 1, commas: 0, depth: 0 };
  if (typeof value !== 'object' || value === null) return { containers: 0, strings: 0, commas: 0, depth: 0 };
  const inner = Object.values(value).map(countsOf);
  const total: Counts = { containers: 1, strings: 0, commas: Math.max(0, inner.length - 1), depth: 1 };
  if (!Array.isArray(value)) total.strings += inner.length;
  for (const { containers, strings, commas, depth } of inner) {
    total.containers += containers;
    total.strings += strings;
    total.commas += commas;
    total.depth = Math.max(total.depth, depth + 1);
  }
  return total;
}

/** Pushes the text in pieces of that size. @returns the first excess */
function measure(text: string, limits: JsonLimits, pieceBytes: number): string | null {
  const bytes = Buffer.from(text);
  const shape = new JsonShape(limits);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const excess = shape.push(bytes.subarray(at, at + pieceBytes));
    if (excess !== null) return excess;
  }
  return null;
}

describe('JsonShape', () => {
  it('counts containers, strings and commas, wherever the text is cut', () => {
    // Keys like __proto__ would be lost in the twin's objects.
    const json = fc.jsonValue({ maxDepth: 5, noUnicodeString: false }).filter((value) => {
      return !JSON.stringify(value).includes('__proto__');
    });
    fc.assert(
      fc.property(json, fc.integer({ min: 1, max: 9 }), (value, pieceBytes) => {
        const text = JSON.stringify(value);
        const { containers, strings, commas } = countsOf(value);
        const exact = { containersMax: containers, stringsMax: strings, commasMax: commas };
        expect(measure(text, exact, pieceBytes)).toBeNull();
        if (containers > 0) {
          expect(measure(text, { ...unlimited, containersMax: containers - 1 }, pieceBytes)).toMatch(
            /objects and arrays/,
          );
        }
        if (strings > 0)
          expect(measure(text, { ...unlimited, stringsMax: strings - 1 }, pieceBytes)).toMatch(/strings/);
        if (commas > 0) expect(measure(text, { ...unlimited, commasMax: commas - 1 }, pieceBytes)).toMatch(/values/);
      }),
    );
  });

  it('refuses nesting beyond the limit, and ignores brackets inside strings', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(measure(nested(jsonNestingMax), unlimited, 7)).toBeNull();
    expect(measure(nested(jsonNestingMax + 1), unlimited, 7)).toBe('nesting deeper than 64');
    expect(
      measure(JSON.stringify(`${'[{,'.repeat(1000)}"\\`), { containersMax: 0, stringsMax: 1, commasMax: 0 }, 3),
    ).toBeNull();
  });

  it('admits the longest readable list of models', () => {
    const permission = [{ id: 'p', object: 'model_permission', created: 1, allow_view: true, organization: '*' }];
    const model = {
      object: 'model',
      created: 1,
      owned_by: 'vllm',
      root: 'r',
      parent: 'b',
      max_model_len: 1,
      permission,
    };
    const data = Array.from({ length: 4096 }, (_, i) => ({ id: `m${i}`, ...model }));
    expect(measure(JSON.stringify({ object: 'list', data }), answerShape, 65_536)).toBeNull();
  });
});
