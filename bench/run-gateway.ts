// Runs the gateway bench: `npm run bench:gateway [-- --rounds N --streams 16,64 --text prose --build NAME=DIST --json FILE]`.

import { parseArgs } from 'node:util';
import { type Measurement, measureGateways } from './gateway/bench-gateway.ts';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, buildOf, everythingOn, withoutTokens } from './gateway/contenders.ts';
import { gatewayFigures, gatewayReport, gatewayTable, writeReport } from './gateway/gateway-report.ts';
import { canPin } from './gateway/processor.ts';
import { type TextKind, textKinds } from './gateway/texts.ts';
import { environment } from './measure.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1' },
    streams: { type: 'string', default: '16,64,256' },
    text: { type: 'string', multiple: true, default: [...textKinds] },
    /** Several builds, to compare them in the same minutes. */
    build: { type: 'string', multiple: true, default: ['kvoyant=dist'] },
    only: { type: 'string' },
    requests: { type: 'string', default: '1' },
    'node-flag': { type: 'string', multiple: true, default: [] },
    /** For busy machines: late chunks are not merged. */
    lockstep: { type: 'boolean', default: false },
    /** Per answer. Runs with 1 and with 100 give the cost of a request and of a chunk. */
    chunks: { type: 'string', default: '100' },
    json: { type: 'string' },
  },
});

const builds = values.build.map(buildOf);
const nodeFlags = values['node-flag'];
const contenders = [
  ...builds.map((build) => everythingOn(build, nodeFlags)),
  ...builds.map((build) => withoutTokens(build, nodeFlags)),
  bareRelay,
].filter(({ name }) => values.only === undefined || new RegExp(values.only).test(name));
endRoutersWithUs();
console.log(environment());
if (!canPin) console.log('without taskset or with one core, the router shares its core');
const measurements: Measurement[] = await measureGateways({
  contenders,
  texts: values.text as TextKind[],
  engines: 8,
  streams: values.streams.split(',').map(Number),
  requestsAt: (streams) => 2 * Math.round(Number(values.requests) * (150 + 2 * streams)),
  warmUpRequests: 400,
  promptWords: 5000,
  chunks: Number(values.chunks),
  chunkMs: 2,
  lockstep: values.lockstep,
  seed: 1,
  rounds: Number(values.rounds),
  pin: true,
  say: (line) => console.log(line),
});
console.log(`\n${gatewayTable(gatewayFigures(measurements, bareRelay.name))}`);
if (values.json !== undefined) writeReport(values.json, gatewayReport(measurements, bareRelay.name, {}));
process.exit(0);
