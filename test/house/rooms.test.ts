import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { folders, rooms, rulesFile, rulesText } from '../../scripts/house.mjs';
import { findCycle, readImports } from './imports.ts';

const imports = readImports();
const folderOf = (file: string): string => file.split('/')[0]!;
const roomOf = (file: string): string => file.split('/')[1]!;

function stepOf(file: string): number {
  return rooms[folderOf(file)]!.findIndex((step) => step.includes(roomOf(file)));
}

describe('the imports of src/', () => {
  it('exist', () => {
    expect(imports.get('core/router.ts')).toContain('core/types.ts');
    expect(findCycle(new Map([['a', ['b']], ['b', ['c']], ['c', ['b']]]))).toEqual(['b', 'c', 'b']); // biome-ignore format: one graph
  });

  it('have no cycle, including imports of types', () => {
    expect(findCycle(imports)).toBeNull();
  });

  it('follow the order of folders in scripts/house.mjs', () => {
    const against = [...imports].flatMap(([file, targets]) =>
      targets
        .filter((target) => folderOf(target) !== folderOf(file))
        .filter((target) => !folders[folderOf(file)]!.includes(folderOf(target)))
        .map((target) => `${file} -> ${target}`),
    );
    expect(against).toEqual([]);
  });

  it.each(Object.keys(rooms))('follow the order of rooms within %s', (folder) => {
    const against: string[] = [];
    for (const [file, targets] of imports) {
      if (folderOf(file) !== folder) continue;
      expect(stepOf(file), `scripts/house.mjs has no place for ${file}`).toBeGreaterThanOrEqual(0);
      for (const target of targets) {
        if (folderOf(target) !== folder || roomOf(target) === roomOf(file)) continue;
        if (stepOf(target) >= stepOf(file)) against.push(`${file} -> ${target}`);
      }
    }
    expect(against).toEqual([]);
  });

  it('are enforced by the linter', () => {
    expect(readFileSync(rulesFile, 'utf8')).toBe(rulesText());
  });
});
