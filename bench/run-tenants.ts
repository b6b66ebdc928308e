// Runs the bench of a burst: `npm run bench:tenants [-- --burst 1000 --rate 4 --reserve 0]`.

import { parseArgs } from 'node:util';
import { environment } from './measure.ts';
import { measureTenants } from './tenants.ts';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '8' },
    speedup: { type: 'string', default: '0.5' },
    'warm-up': { type: 'string', default: '60' },
    rate: { type: 'string', default: '2' },
    burst: { type: 'string', default: '1000' },
    prompt: { type: 'string', default: '2000' },
    output: { type: 'string', default: '100' },
    reserve: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
  },
});

console.log(environment());
const figures = await measureTenants({
  workers: Number(values.workers),
  speedup: Number(values.speedup),
  warmUpRequests: Number(values['warm-up']),
  ratePerS: Number(values.rate),
  burst: Number(values.burst),
  promptTokens: Number(values.prompt),
  outputTokens: Number(values.output),
  tenantReserveS: Number(values.reserve),
  seed: Number(values.seed),
});
console.log(`burst                    ${values.burst} requests, first tokens after ${figures.burstS.toFixed(1)} s`);
console.log(`requests compared        ${figures.compared} (failed ${figures.failed})`);
console.log(`TTFT p50 alone           ${figures.aloneP50Ms.toFixed(0)} ms`);
console.log(`TTFT p50 beside it       ${figures.besideP50Ms.toFixed(0)} ms`);
console.log(`x alone                  ${(figures.besideP50Ms / figures.aloneP50Ms).toFixed(2)}`);
process.exit(0);
