// `npm run soak [-- MINUTES [SEED]]`: soak test of test/soak at full length. Default: 30 minutes.

import { bin } from './set-up.mjs';

const [minutes = '30', seed = '1'] = process.argv.slice(2);
process.env.KVOYANT_SOAK_S = String(Number(minutes) * 60);
process.env.KVOYANT_SOAK_SEED = seed;
bin('vitest', ['run', 'test/soak/soak.test.ts']);
