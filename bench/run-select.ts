// Runs the bench of the selection service: `npm run bench:select [-- --dist DIST --connections N --cycles N --tokens N]`.

import { parseArgs } from 'node:util';
import { leaveRouterCore } from './gateway/processor.ts';
import { environment } from './measure.ts';
import { cycleForms, measureSelection } from './select.ts';

const { values } = parseArgs({
  options: {
    dist: { type: 'string', default: 'dist' },
    connections: { type: 'string', default: '64' },
    cycles: { type: 'string', default: '3000' },
    tokens: { type: 'string', default: '7000' },
    rounds: { type: 'string', default: '3' },
  },
});
leaveRouterCore();
console.log(environment());
const connections = Number(values.connections);
const promptTokens = Number(values.tokens);
const sizes = { engines: 8, connections, promptTokens, cycles: Number(values.cycles), warmUpCycles: 1000 };
const figures = await measureSelection(values.dist, { ...sizes, rounds: Number(values.rounds) });
console.log(`reserve, first token, delete; ${promptTokens} token ids, ${connections} connections, 8 workers`);
console.log('                          CPU ms a cycle   cycles/s   reserve p50, ms   p99, ms');
for (const form of cycleForms) {
  for (const { cpuMsPerCycle, cyclesPerS, reserveMs } of figures.filter((one) => one.form === form)) {
    const columns = [
      form.padEnd(24),
      (cpuMsPerCycle?.toFixed(3) ?? '-').padStart(16),
      cyclesPerS.toFixed(0).padStart(10),
      reserveMs.p50.toFixed(2).padStart(17),
      reserveMs.p99.toFixed(2).padStart(9),
    ];
    console.log(columns.join(' '));
  }
}
process.exit(0);
