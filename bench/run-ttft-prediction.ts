// Runs the bench of TTFT predictions: `npm run bench:ttft-prediction [-- --policy kv --rate 12 --requests 900]`.

import { parseArgs } from 'node:util';
import { environment } from './measure.ts';
import { measurePrediction } from './ttft-prediction.ts';

const { values } = parseArgs({
  options: {
    policy: { type: 'string', default: 'foresee' },
    workers: { type: 'string', default: '4' },
    rate: { type: 'string', default: '12' },
    requests: { type: 'string', default: '900' },
    'warm-up': { type: 'string', default: '300' },
    output: { type: 'string', default: '16' },
    speedup: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
  },
});

console.log(environment());
const figures = await measurePrediction({
  policy: values.policy === 'kv' ? 'kv' : 'foresee',
  workers: Number(values.workers),
  speedup: Number(values.speedup),
  requests: Number(values.requests),
  warmUpRequests: Number(values['warm-up']),
  ratePerS: Number(values.rate),
  outputTokens: Number(values.output),
  seed: Number(values.seed),
});
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
console.log(`requests compared      ${figures.compared} (failed ${figures.failed})`);
console.log(`mean TTFT              ${figures.meanTtftMs.toFixed(0)} ms, from choice to first token`);
console.log(`MAPE                   ${percent(figures.mape)}`);
console.log(`median absolute error  ${percent(figures.medianError)}`);
console.log(`bias                   ${percent(figures.bias)} (above 0: predicted too long)`);
console.log(`event loop, p99 late   ${figures.loopDelayP99Ms.toFixed(1)} ms`);
process.exit(0);
