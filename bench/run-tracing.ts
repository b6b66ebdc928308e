// Runs the bench of tracing: `npm run bench:tracing [-- REQUESTS]`.

import { environment } from './measure.ts';
import { measureTracing } from './tracing.ts';

const requests = Number(process.argv[2] ?? 20_000);
console.log(environment());
for (const share of [0, 0.1, 1]) {
  const { cpuUsPerRequest, bytesPerTrace } = await measureTracing(share, requests);
  const size = bytesPerTrace === 0 ? '' : `, ${Math.round(bytesPerTrace)} bytes per trace`;
  console.log(`${100 * share} % sampled: ${cpuUsPerRequest.toFixed(1)} us of processor time per request${size}`);
}
process.exit(0);
