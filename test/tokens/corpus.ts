// Texts for comparing tokenizers with their oracles: source code, and fuzzed Unicode.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/core/random.ts';

/** Source files of several kinds, of the project and of a dependency. */
export function codeFiles(): string[] {
  const root = join(import.meta.dirname, '..', '..');
  const folders = [
    'src',
    'scripts',
    join('node_modules', 'zod', 'v4', 'core'),
    join('node_modules', 'undici', 'lib', 'core'),
  ];
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(root, folder, name)),
  );
  files.push(join(root, 'package.json'), join(root, 'biome.json'), join(root, 'LICENSE'));
  // Generated files contain long runs without a break, which take the oracle minutes.
  return files.filter((file) => /\.([cm]?[jt]s|json)$|LICENSE$/.test(file) && !file.includes('.generated.'));
}

/** Code points in bands that mix scripts, sizes and classes; some strings use one band, others all. */
export const bands: readonly (readonly [number, number])[] = [
  [0x20, 0x7e],
  [0x00, 0x2ff],
  [0x41, 0x7a],
  [0x300, 0x52f],
  [0x590, 0xdff],
  [0xe00, 0x1fff],
  [0x2000, 0x2bff],
  [0x3000, 0x30ff],
  [0x4e00, 0x9fff],
  [0xac00, 0xd7ff],
  [0xd800, 0xdfff],
  [0xf900, 0xffff],
  [0x10000, 0x1ffff],
  [0x20000, 0x10ffff],
];
const frequent = [
  ' ',
  '  ',
  '\n',
  '\r\n',
  '\t',
  "'s",
  "'LL",
  "'re",
  '0',
  '42',
  '.',
  '…',
  '\u00a0',
  '\u3000',
  '\ufeff',
  '\ud83d',
];

/** @param disputed code points to omit */
export function fuzzed(random: Random, disputed: ReadonlySet<number>): string {
  const own = random.below(bands.length);
  const mixed = random.below(3) === 0;
  let text = '';
  for (let left = 1 + random.below(14); left > 0; left--) {
    if (random.below(4) === 0) {
      text += frequent[random.below(frequent.length)]!;
      continue;
    }
    const [first, last] = bands[mixed ? random.below(bands.length) : own]!;
    let codePoint = first + random.below(last - first + 1);
    while (disputed.has(codePoint)) codePoint = first + random.below(last - first + 1);
    text += String.fromCodePoint(codePoint);
  }
  return text;
}
