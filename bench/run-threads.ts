// Runs the bench of threads: `npm run bench:threads [-- --streams 16,64 --text prose --rounds N --requests FACTOR]`.

import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureGateways } from './gateway/bench-gateway.ts';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, everythingOn, threaded } from './gateway/contenders.ts';
import { gatewayFigures, gatewayTable } from './gateway/gateway-report.ts';
import { loadFlags, publishedLoad } from './gateway/published-load.ts';
import { environment, print } from './measure.ts';
import { measureHop, runOwner } from './threads.ts';

const coresMin = 4;
/** Before this process leaves the router's core. */
const cores = os.availableParallelism();

if (process.send !== undefined) runOwner();
else {
  const { values } = parseArgs({ options: loadFlags });
  endRoutersWithUs();
  console.log(environment());
  console.log('\nfrom the question to the order, ms, prompts of 6,400 tokens                 p50       p99');
  for (const inFlight of [1, 16, 64, 256]) {
    const sizes = { inFlight, requests: 200 * Math.ceil(Math.sqrt(inFlight)) * 10, blocks: 400 };
    print(`${inFlight} under way`, await measureHop(fileURLToPath(import.meta.url), sizes));
  }
  const build = { name: 'kvoyant', dist: 'dist' };
  const contenders = [everythingOn(build), threaded(build, 2), bareRelay];
  const say = (line: string): void => console.log(line);
  const measurements = await measureGateways({ ...publishedLoad(values, 100), contenders, say });
  console.log(`\n${gatewayTable(gatewayFigures(measurements, bareRelay.name))}`);
  for (const { router, text, shape, streams, ownCpuMsPerRequest } of measurements) {
    if (ownCpuMsPerRequest === null) continue;
    const ofOwn = ownCpuMsPerRequest.toFixed(2);
    console.log(`${router}, ${text}, ${shape}, ${streams} streams: ${ofOwn} ms a request in the process that places`);
  }
  if (cores < coresMin) {
    console.log(
      `throughput of 2 threads against 1 is left out: it needs ${coresMin} cores, and this machine has ${cores}`,
    );
  }
  process.exit(0);
}
