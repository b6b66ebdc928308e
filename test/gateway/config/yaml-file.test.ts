// A YAML file is parsed by a thread: as here, with the same lines, and for a limited time.

import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { YamlFile } from '../../../src/gateway/config/yaml-file.ts';
import { TemporaryFolder } from '../temporary-folder.ts';

const folder = new TemporaryFolder();
afterAll(() => folder.remove());

async function read(text: string, msMax?: number): Promise<YamlFile> {
  return YamlFile.read(folder.write('file.yaml', text), msMax);
}

/** Every path to a value. */
function* pathsOf(value: unknown, path: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [name, part] of Object.entries(value)) {
    yield* pathsOf(part, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

it('has the values and the lines of the text', async () => {
  const value = fc.jsonValue({ maxDepth: 3 });
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), value, { maxKeys: 6 }),
      async (root) => {
        const text = stringify(root);
        const here = YamlFile.parse('x', text);
        const there = await read(text);
        expect(there.value).toEqual(here.value);
        const lines = text.split('\n');
        for (const path of pathsOf(here.value)) {
          const [line] = /\d+$/.exec(here.where(path))!;
          expect(there.where(path)).toBe(`${there.path}:${line}`);
          expect(Number(line)).toBeLessThanOrEqual(lines.length);
        }
      },
    ),
    { numRuns: 25 },
  );
}, 60_000);

it('tells the line of a name, of an item, and of the nearest part that there is', async () => {
  const file = await read('a:\n  - b: 1\n  - c:\n      d: 2\ne: &x [1]\nf: *x\n16: g\n');
  const where = (...path: (string | number)[]): string => file.where(path).slice(file.path.length);
  expect(where()).toBe(':1');
  expect(where('a', 1, 'c', 'd')).toBe(':4');
  expect(where('a', 1, 'c', 'none')).toBe(':3');
  expect(where('a', 7)).toBe(':1');
  expect(where('f', 0)).toBe(':6');
});

it('leaves the loop to others while a file is parsed that takes long, and gives up', async () => {
  // Each anchor is looked for among all before it.
  const text = Array.from({ length: 60_000 }, (_, i) => `k${i}: &a${i} 1\nl${i}: *a${i}\n`).join('');
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 10);
  await expect(read(text, 1000)).rejects.toThrow(/file\.yaml takes longer than 1 s to parse$/);
  clearInterval(timer);
  // Of a hundred.
  expect(turns).toBeGreaterThan(10);
}, 30_000);

it.each([
  ['has more values than fit', `[${'1,'.repeat(200_001)}]`, 'has more than 200000 values'],
  ['is nested too deeply', '['.repeat(70) + ']'.repeat(70), 'is nested more than 64 levels deep'],
  ['is nested far too deeply', '['.repeat(50_000), 'call stack'],
  ['is no YAML', 'a: b: c', 'file.yaml:1: '],
  [
    'has aliases in aliases',
    Array.from({ length: 9 }, (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : `*a${i - 1},`.repeat(9)}]\n`).join(''),
    'Excessive alias count',
  ],
  ['contains itself', 'a: &a [*a]', 'an alias stands inside of its own anchor'],
])(
  'is refused if it %s',
  async (_, text, reason) => {
    await expect(read(text, 60_000)).rejects.toThrow(reason);
  },
  90_000,
);
