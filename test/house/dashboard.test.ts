// The page shares nothing with the gateway but the types of its data, and has no other run-time dependency than two.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const folder = join(import.meta.dirname, '..', '..', 'dashboard', 'src');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => /\.tsx?$/.test(file));

describe('the imports of dashboard/', () => {
  it('are its own files, preact, uPlot, and the types of the data', () => {
    const others: string[] = [];
    for (const file of files) {
      const text = readFileSync(join(folder, file), 'utf8');
      for (const [, target] of text.matchAll(/(?:from|import)\s+'([^']+)'/g)) {
        if (/^(preact(\/hooks)?|uplot(\/dist\/uPlot\.min\.css)?)$/.test(target!)) continue;
        if (target!.startsWith('.') && !target!.includes('/src/')) continue;
        others.push(`${file}: ${target}`);
      }
    }
    expect(others).toEqual(['data.ts: ../../src/gateway/page/page-data.ts']);
    expect(readFileSync(join(folder, 'data.ts'), 'utf8')).toMatch(/export type \{[^}]+\} from/);
  });

  it('leave no way for text to become markup or code', () => {
    const all = files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n');
    expect(all).not.toMatch(/innerHTML|dangerouslySet|insertAdjacentHTML|document\.write|\beval\(|new Function/);
  });
});
