// ARCHITECTURE.md shows the order of imports of scripts/house.mjs, and names only existing files and limits.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folders, rooms } from '../../scripts/house.mjs';

const root = join(import.meta.dirname, '..', '..');
const text = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));

/** The rooms of a table, step by step. */
function drawnRooms(folder: string): string[][] {
  const [, table] = text.split(`| step | room of ${folder} | idea |\n|---|---|---|\n`);
  const steps: string[][] = [];
  for (const line of table!.split('\n')) {
    const row = /^\| (\d+) \| ([^|]+) \|/.exec(line);
    if (row === null) break;
    expect(Number(row[1])).toBe(steps.length + 1);
    steps.push(row[2]!.match(/[\w.-]+/g)!);
  }
  return steps;
}

describe('ARCHITECTURE.md', () => {
  it('shows which folder imports which', () => {
    const drawn: Record<string, string[]> = {};
    for (const [, folder, imports] of text.matchAll(/^(\w+) +-> ?((?:\w+ )*\w*)(?: {2,}|$)/gm)) {
      if (folder! in folders) drawn[folder!] = imports!.split(' ').filter(Boolean);
    }
    expect(drawn).toEqual(folders);
  });

  it.each(Object.keys(rooms))('shows the rooms of %s in the order of their imports', (folder) => {
    expect(drawnRooms(folder)).toEqual(rooms[folder]);
  });

  it.each(Object.keys(rooms))('names only files that the rooms of %s have', (folder) => {
    const missing: string[] = [];
    for (const [, cell, idea] of text.matchAll(/^\| \d+ \| ([^|]+) \| (.+) \|$/gm)) {
      const names = cell!.match(/[\w.-]+/g)!;
      if (!names.every((name) => rooms[folder]!.flat().includes(name))) continue;
      for (const [, file] of idea!.matchAll(/`([a-z][a-z-]+)`/g)) {
        if (!names.some((room) => sources.includes(`${folder}/${room}/${file}.ts`))) missing.push(`${cell}: ${file}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('names only files that exist', () => {
    const named = [...text.matchAll(/(?<![\w/.-])([a-z][\w-]*(?:\/[\w.-]+)+)/g)].map(([, path]) => path!);
    expect(named.length).toBeGreaterThan(40);
    const isThere = (path: string): boolean =>
      ['', 'src/', 'src/gateway/'].some((at) => [path, `${path}.ts`].some((name) => existsSync(join(root, at + name))));
    expect(named.filter((path) => !isThere(path))).toEqual([]);
  });

  it('names only limits that exist', () => {
    const limits = new Set(text.match(/\b[a-z][A-Za-z]+Max\b/g));
    const all = sources.map((file) => readFileSync(join(root, 'src', file), 'utf8')).join('\n');
    expect([...limits].filter((limit) => !new RegExp(`\\b${limit}\\b`).test(all))).toEqual([]);
  });

  it('is at most 100 lines long', () => {
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(100);
  });
});
