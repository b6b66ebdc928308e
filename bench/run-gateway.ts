// Runs the gateway bench: `npm run bench:gateway [-- --rounds N --streams 16,64 --text prose --build NAME=DIST --traced SHARE --json FILE]`.

import { parseArgs } from 'node:util';
import { type Measurement, measureGateways } from './gateway/bench-gateway.ts';
import { startCollectorSink } from './gateway/collector-sink.ts';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, buildOf, everythingOn, traced, withoutTokens } from './gateway/contenders.ts';
import { gatewayFigures, gatewayReport, gatewayTable, writeReport } from './gateway/gateway-report.ts';
import { canPin } from './gateway/processor.ts';
import { loadFlags, publishedLoad } from './gateway/published-load.ts';
import { environment } from './measure.ts';

const { values } = parseArgs({
  options: {
    ...loadFlags,
    only: { type: 'string' },
    /** Share of requests that are traced, 0 to 1: each makes another contender. */
    traced: { type: 'string', multiple: true, default: [] },
    'node-flag': { type: 'string', multiple: true, default: [] },
    /** Per answer. Runs with 1 and with 100 give the cost of a request and of a chunk. */
    chunks: { type: 'string', default: '100' },
  },
});

const builds = values.build.map(buildOf);
const nodeFlags = values['node-flag'];
const sink = await startCollectorSink();
const shares = values.traced.map(Number);
const contenders = [
  ...builds.map((build) => everythingOn(build, nodeFlags)),
  ...builds.flatMap((build) => shares.map((share) => traced(build, share, sink.url, nodeFlags))),
  ...builds.map((build) => withoutTokens(build, nodeFlags)),
  bareRelay,
].filter(({ name }) => values.only === undefined || new RegExp(values.only).test(name));
endRoutersWithUs();
console.log(environment());
if (!canPin) console.log('without taskset or with one core, the router shares its core');
const measurements: Measurement[] = await measureGateways({
  ...publishedLoad(values, Number(values.chunks)),
  contenders,
  say: (line) => console.log(line),
});
console.log(`\n${gatewayTable(gatewayFigures(measurements, bareRelay.name))}`);
if (values.json !== undefined) writeReport(values.json, gatewayReport(measurements, bareRelay.name, {}));
process.exit(0);
