// Runs the core's table: `npm run bench:core [-- --json FILE]`.

import { parseArgs } from 'node:util';
import { measureCore, printCore, writeCore } from './core.ts';

const { values } = parseArgs({ options: { json: { type: 'string' } } });
const report = measureCore({
  queries: 10_000,
  churnEvents: 200_000,
  inFlight: 512,
  scale: [
    [8, 1_000_000],
    [64, 10_000],
    [64, 100_000],
    [64, 1_000_000],
    [64, 10_000_000],
    [256, 1_000_000],
    [1000, 1_000_000],
  ],
});
printCore(report);
if (values.json !== undefined) writeCore(values.json, report);
