// Compiles src/ to dist/ and builds the page into dist/dashboard, which `npm start`, the `kvoyant` command and the package's exports use.

import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { writeBillOfMaterials } from './bill-of-materials.mjs';
import { bin, install, root } from './set-up.mjs';

install();
bin('tsc', ['-p', 'tsconfig.build.json']);
await import('./build-page.mjs');
chmodSync(join(root, 'dist', 'cli', 'main.js'), 0o755);
writeBillOfMaterials(root, join(root, 'dist'));
