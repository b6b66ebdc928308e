// `npm start`: installs, builds and runs `kvoyant demo` with the given arguments.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './set-up.mjs';

await import('./build.mjs');
const child = spawn(process.execPath, [join(root, 'dist', 'cli', 'main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 0 : 1)));
