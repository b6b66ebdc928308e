// Rules beyond the linter: first sentences, random draws, long files, the words of the core, paths and addresses.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

function filesUnder(folder: string): { path: string; text: string }[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.generated.ts') && !name.includes('node_modules'))
    .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(root, folder, name), 'utf8') }));
}

const src = filesUnder('src');
const all = [...src, ...filesUnder('test'), ...filesUnder('bench')];

/** The paths of the files in which the pattern occurs. */
const where = (files: typeof all, pattern: RegExp): string[] =>
  files.filter((file) => pattern.test(file.text)).map((file) => file.path);

describe('every source file', () => {
  it('has a first sentence', () => {
    const silent = [...src, ...filesUnder('bench')].filter(
      ({ text }) => !/^(#!.*\n)?\/\/ [A-Za-z0-9`'][^\n]{15,}/.test(text),
    );
    expect(silent.map((file) => file.path)).toEqual([]);
  });

  it('has a blank line after its first comment', () => {
    expect(where(all, /^(#!.*\n)?(\/\/.*\n)+(?!\/\/|\n)/)).toEqual([]);
  });

  it('seeds every random draw', () => {
    expect(where(src, /Math\.random/)).toEqual([]);
  });

  it('has at most 400 lines', () => {
    expect(src.filter(({ text }) => text.split('\n').length > 400).map((file) => file.path)).toEqual([]);
  });

  it('has no open tasks', () => {
    expect(where(src, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
    const narrowed = new RegExp(`\\b(it|test|describe)\\.(${['only', 'skip', 'todo'].join('|')})\\b`);
    expect(where(all, narrowed)).toEqual([]);
  });

  it("uses the project's words", () => {
    const core = src.filter((file) => file.path.startsWith('src/core/'));
    expect(where(core, /\b(pods?|endpoints?|scores?|strateg(y|ies)|SLA)\b/i)).toEqual([]);
  });
});

it('the core imports nothing outside itself', () => {
  for (const { path, text } of src.filter((file) => file.path.startsWith('src/core/'))) {
    for (const [, from] of text.matchAll(/from '([^']+)'/g)) {
      const depth = path.split('/').length - 3;
      expect(from, path).toMatch(depth === 0 ? /^\.\// : /^\.\.?\//);
      expect(from!.startsWith('../../'), path).toBe(false);
    }
  }
});
