// Compiles src/ to dist/, which `npm start`, the `kvoyant` command and the package's exports use.

import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { bin, install, root } from './set-up.mjs';

install();
bin('tsc', ['-p', 'tsconfig.build.json']);
chmodSync(join(root, 'dist', 'cli', 'main.js'), 0o755);
