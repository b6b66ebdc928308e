// `npm run soak:gateway [-- MINUTES [SEED]]`: soak test of a gateway process at full rate. Default: 20 minutes.

import { bin } from './set-up.mjs';

const [minutes = '20', seed = '1'] = process.argv.slice(2);
process.env.KVOYANT_SOAK_GATEWAY_MINUTES = minutes;
process.env.KVOYANT_SOAK_SEED = seed;
bin('vitest', ['run', 'test/soak/gateway-soak.test.ts', '--disable-console-intercept']);
