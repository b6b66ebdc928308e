// `npm test`: installs, then type check, lint, build and every test.

import { join } from 'node:path';
import { bin, install, root } from './set-up.mjs';

install();
install(join(root, 'test'));
bin('tsc', ['--noEmit', '-p', 'tsconfig.json']);
bin('tsc', ['--noEmit', '-p', 'dashboard/tsconfig.json']);
bin('biome', ['check', '--error-on-warnings']);
await import('./build.mjs');
bin('vitest', ['run', ...process.argv.slice(2)]);
