// Runs all benches: `npm run bench [-- --json FILE] [--baseline FILE]`. Compares them with the committed baseline.

import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureAll } from './all.ts';
import { type BenchReport, benchTables } from './bench-report.ts';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, buildOf, everythingOn, withoutTokens } from './gateway/contenders.ts';
import { writeReport } from './gateway/gateway-report.ts';
import { loadFlags, publishedLoad } from './gateway/published-load.ts';
import { workloadToReplay } from './replay.ts';

const { values } = parseArgs({
  options: {
    ...loadFlags,
    text: { type: 'string', multiple: true, default: ['prose'] },
    /** The mock engines wait for each chunk, so that a busy machine does not merge chunks: see published-load. */
    lockstep: { type: 'boolean', default: true },
    baseline: { type: 'string', default: 'bench/baseline.json' },
  },
});

endRoutersWithUs();
const build = buildOf(values.build[0]!);
const report = await measureAll({
  requests: 200,
  intakeRounds: 3,
  promptsPerKind: 100,
  core: { queries: 4000, churnEvents: 100_000, inFlight: 512, scale: [] },
  messagesPerS: 6000,
  intakeSeconds: 5,
  workload: await workloadToReplay(undefined),
  policies: ['round-robin', 'kv', 'foresee'],
  gateway: {
    ...publishedLoad(values, 100),
    contenders: [everythingOn(build), withoutTokens(build), bareRelay],
    say: (line) => console.log(line),
  },
});
const baseline = existsSync(values.baseline)
  ? (JSON.parse(readFileSync(values.baseline, 'utf8')) as BenchReport)
  : null;
console.log(`\n${report.environment}`);
console.log(baseline === null ? `no baseline at ${values.baseline}` : `baseline: ${baseline.environment}`);
console.log(`\n${benchTables(report, baseline)}`);
if (values.json !== undefined) writeReport(values.json, report);
process.exit(0);
