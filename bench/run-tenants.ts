// Runs the bench of a burst: `npm run bench:tenants [-- --burst 1024 --rate 4 --reserve 0]`.

import os from 'node:os';
import { parseArgs } from 'node:util';
import { Progress } from '../src/report/progress.ts';
import { environment } from './measure.ts';
import { measureTenants, type PhaseFigures } from './tenants.ts';

/** Of the TTFT alone: where the event loop is held for longer in the median, the ratio is that of the machine. */
const heldShareMax = 0.1;

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '8' },
    speedup: { type: 'string', default: '1' },
    rate: { type: 'string', default: '4' },
    'warm-up': { type: 'string', default: '5' },
    alone: { type: 'string', default: '30' },
    burst: { type: 'string', default: '1024' },
    prompt: { type: 'string', default: '2000' },
    output: { type: 'string', default: '32' },
    reserve: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
  },
});

const progress = new Progress(process.stderr, () => performance.now());
console.log(`${environment()}, load ${os.loadavg()[0]!.toFixed(1)}`);
const { alone, beside, failed, burstS } = await measureTenants({
  workers: Number(values.workers),
  speedup: Number(values.speedup),
  warmUpS: Number(values['warm-up']),
  aloneS: Number(values.alone),
  ratePerS: Number(values.rate),
  burst: Number(values.burst),
  promptTokens: Number(values.prompt),
  outputTokens: Number(values.output),
  tenantReserveS: Number(values.reserve),
  seed: Number(values.seed),
  onProgress: (line) => progress.update(line),
});
progress.clear();
console.log(
  `burst                    ${values.burst} requests, first tokens after ${burstS.toFixed(1)} s (failed ${failed})`,
);
console.log(`TTFT alone               ${phase(alone)}`);
console.log(`TTFT beside the burst    ${phase(beside)}`);
console.log(`p50, x alone             ${(beside.p50Ms / alone.p50Ms).toFixed(2)}`);
if (Math.max(alone.heldP50Ms, beside.heldP50Ms) > heldShareMax * alone.p50Ms) {
  console.log('The machine was too busy for these engines, and is part of the ratio: use a lower --speedup or --rate.');
}
process.exit(0);

function phase({ requests, p50Ms, p99Ms, loopBusyShare, heldP50Ms, heldP99Ms }: PhaseFigures): string {
  const loop = `event loop busy ${(100 * loopBusyShare).toFixed(0)} %, held ${heldP50Ms.toFixed(1)} / ${heldP99Ms.toFixed(0)} ms`;
  return `p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms of ${requests} requests; ${loop} (p50 / p99)`;
}
