// `npm run test:image`: carries out every step of ops/Dockerfile in a folder, and runs the result in a sandbox (bwrap).

import { bin, install } from './set-up.mjs';

install();
process.env.KVOYANT_IMAGE = 'full';
bin('vitest', ['run', 'test/ops/image.test.ts']);
