// Compiles kernel/block-hash.ts (AssemblyScript) and embeds it in src/core/blocks/block-hash-kernel.generated.ts.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { root } from './set-up.mjs';

/** Compiles the kernel. @returns the module's bytes @throws Error with the compiler's messages */
export async function compileKernel() {
  const files = { 'block-hash.ts': readFileSync(join(root, 'kernel', 'block-hash.ts'), 'utf8') };
  let binary;
  const { error, stderr } = await asc.main(
    ['block-hash.ts', '--outFile', 'out.wasm', '-O3', '--noAssert', '--runtime', 'stub', '--initialMemory', '4'],
    {
      readFile: (name) => files[name] ?? null,
      writeFile: (name, contents) => {
        if (name.endsWith('.wasm')) binary = Buffer.from(contents);
      },
      listFiles: () => [],
    },
  );
  if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
  return binary;
}

if (process.argv[1] === join(root, 'scripts', 'build-kernel.mjs')) {
  const lines = (await compileKernel()).toString('base64').match(/.{1,100}/g);
  writeFileSync(
    join(root, 'src', 'core', 'blocks', 'block-hash-kernel.generated.ts'),
    [
      '// Made by scripts/build-kernel.mjs from kernel/block-hash.ts; a test compares the two.',
      'export const kernelBase64: string =',
      `${lines.map((line) => `  '${line}'`).join(' +\n')};`,
      '',
    ].join('\n'),
  );
}
