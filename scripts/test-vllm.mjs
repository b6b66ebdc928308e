// `npm run test:vllm [-- VERSION...]`: builds, then runs kvoyant in front of real vLLM engines (test/vllm).

import { bin, root } from './set-up.mjs';

await import('./build.mjs');
bin('tsc', ['-p', 'tsconfig.vllm.json']);
const { main } = await import('../dist-vllm/test/vllm/main.js');
process.exitCode = await main(root, process.argv.slice(2));
