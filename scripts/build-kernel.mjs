// Compiles the kernels (AssemblyScript) and embeds each in a generated file of src.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { root } from './set-up.mjs';

/** Where the module of each kernel goes. */
const kernels = {
  'block-hash': join('src', 'core', 'blocks', 'block-hash-kernel.generated.ts'),
  'json-weight': join('src', 'gateway', 'exchange', 'json-weight-kernel.generated.ts'),
  tokens: join('src', 'tokens', 'token-kernel.generated.ts'),
};

/** Of 64 KB, none of which takes memory before it is used. Growing has a price (src/tokens/token-kernel.ts). */
const pages = { 'block-hash': 16, 'json-weight': 4, tokens: 4 };

/** Flags beside those of all kernels. The memory of `tokens` is made by its caller, who knows how much it takes. */
const flagsOf = {
  'block-hash': [],
  'json-weight': ['--enable', 'simd'],
  tokens: ['--enable', 'simd', '--importMemory'],
};

/** Compiles a kernel. @param name its file in kernel/ @returns the module's bytes @throws Error with the compiler's messages */
export async function compileKernel(name) {
  let binary;
  const memory = ['--initialMemory', String(pages[name])];
  const { error, stderr } = await asc.main(
    [`${name}.ts`, '--outFile', 'out.wasm', '-O3', '--noAssert', '--runtime', 'stub', ...memory, ...flagsOf[name]],
    {
      readFile: (file) => {
        try {
          return readFileSync(join(root, 'kernel', file), 'utf8');
        } catch {
          return null;
        }
      },
      writeFile: (file, contents) => {
        if (file.endsWith('.wasm')) binary = Buffer.from(contents);
      },
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  return binary;
}

if (process.argv[1] === join(root, 'scripts', 'build-kernel.mjs')) {
  for (const [name, file] of Object.entries(kernels)) {
    const lines = (await compileKernel(name)).toString('base64').match(/.{1,100}/g);
    writeFileSync(
      join(root, file),
      [
        `// Made by scripts/build-kernel.mjs from kernel/${name}.ts; a test compares the two.`,
        'export const kernelBase64: string =',
        `${lines.map((line) => `  '${line}'`).join(' +\n')};`,
        '',
      ].join('\n'),
    );
  }
}
