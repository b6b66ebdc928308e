// Runs kvoyant and other routers side by side: `npm run bench:peers [-- --rounds N --warm-up N --only REGEXP --no-burst --json FILE]`.

import { parseArgs } from 'node:util';
import { loadBuiltinTokenizer } from '../src/tokens/index.ts';
import { measureGateways } from './gateway/bench-gateway.ts';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, buildOf, everythingOn, withoutTokens } from './gateway/contenders.ts';
import { gatewayFigures, gatewayReport, gatewayTable, writeReport } from './gateway/gateway-report.ts';
import { leaveRouterCore } from './gateway/processor.ts';
import { loadFlags, publishedLoad } from './gateway/published-load.ts';
import { wordsOf } from './gateway/texts.ts';
import { environment } from './measure.ts';
import { type BurstFigures, burstOfPr1731, burstTable, measureBurst } from './peers/burst.ts';
import { proxyPeers } from './peers/proxy-peers.ts';
import { installPythonPeers } from './peers/python-peers.ts';

const { values } = parseArgs({
  allowNegative: true,
  options: {
    // The last build runs the simulated engines too.
    ...loadFlags,
    // So many that routers in Node are compiled. What they cost before shows with 400.
    'warm-up': { type: 'string', default: '4000' },
    only: { type: 'string', default: '' },
    load: { type: 'boolean', default: true },
    burst: { type: 'boolean', default: true },
  },
});
const say = (line: string): void => console.log(line);
const builds = values.build.map(buildOf);
const isWanted = ({ name }: { readonly name: string }): boolean => new RegExp(values.only).test(name);

const kvoyants = builds.flatMap((build) => [everythingOn(build), withoutTokens(build)]);
endRoutersWithUs();
console.log(environment());
const peers = installPythonPeers(say);
const proxies = proxyPeers(say);
const measurements = values.load
  ? await measureGateways({
      ...publishedLoad(values, 100),
      contenders: [...kvoyants, ...peers, ...proxies, bareRelay].filter(isWanted),
      say,
    })
  : [];
if (values.load) console.log(`\n${gatewayTable(gatewayFigures(measurements, bareRelay.name))}\n`);

const bursts: BurstFigures[] = [];
if (values.burst) {
  leaveRouterCore();
  const words = wordsOf(await loadBuiltinTokenizer());
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const contender of [...kvoyants, ...peers].filter(isWanted)) {
      try {
        bursts.push(await measureBurst(contender, words, { ...burstOfPr1731, dist: builds.at(-1)!.dist }));
      } catch (error) {
        say(`${contender.name}: left out of the burst: ${(error as Error).message}`);
      }
    }
  }
  const { groups, requestsPerGroup, engines } = burstOfPr1731;
  console.log(`Burst of ${groups * requestsPerGroup} in ${groups} groups over ${engines} simulated engines\n`);
  console.log(burstTable(bursts));
}
if (values.json !== undefined) {
  const versions = Object.fromEntries([...peers, ...proxies].map(({ name, about }) => [name, about]));
  writeReport(values.json, { ...gatewayReport(measurements, bareRelay.name, versions), bursts });
}
process.exit(0);
