// Compares builds of the gateway: `npm run bench:pairs -- --build old=OTHER/dist --build new=dist [--mode round-robin --chunks N
// --streams N --text technical --rounds N --requests N --warm-up N --fresh --bare --node-flag FLAG]`. A build may have Node
// flags of its own: `--build eager=dist,--always-sparkplug`.

import { parseArgs } from 'node:util';
import { endRoutersWithUs } from './gateway/contender.ts';
import { bareRelay, buildOf, everythingOn, withoutTokens } from './gateway/contenders.ts';
import { measurePairs } from './gateway/paired-routers.ts';
import type { TextKind } from './gateway/texts.ts';
import { environment } from './measure.ts';

const { values } = parseArgs({
  options: {
    build: { type: 'string', multiple: true, default: ['kvoyant=dist'] },
    /** `default`: the default policy with tokens and KV events; `round-robin`: without both. */
    mode: { type: 'string', default: 'default' },
    text: { type: 'string', default: 'prose' },
    streams: { type: 'string', default: '64' },
    chunks: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '20' },
    requests: { type: 'string', default: '200' },
    /** V8 goes on compiling for two thousand requests. */
    'warm-up': { type: 'string', default: '2000' },
    /** Starts all routers anew in every round, without a warm-up. */
    fresh: { type: 'boolean', default: false },
    /** Adds the bare relay. */
    bare: { type: 'boolean', default: false },
    'node-flag': { type: 'string', multiple: true, default: [] },
  },
});
const contenderOf = values.mode === 'default' ? everythingOn : withoutTokens;
endRoutersWithUs();
console.log(environment());
const figures = await measurePairs({
  contenders: [
    ...values.build.map((text) => {
      const [build = '', ...flags] = text.split(',');
      return contenderOf(buildOf(build), [...values['node-flag'], ...flags]);
    }),
    ...(values.bare ? [bareRelay] : []),
  ],
  text: values.text as TextKind,
  engines: 8,
  streams: Number(values.streams),
  promptWords: 5000,
  chunks: Number(values.chunks),
  rounds: Number(values.rounds),
  requests: Number(values.requests),
  warmUpRequests: Number(values['warm-up']),
  fresh: values.fresh,
  pin: true,
  say: (line) => console.log(line),
});
console.log('\nprocessor time per request, ms');
for (const { router, failed, least, median, helpers, startMs, ratio } of figures) {
  const faults = failed === 0 ? '' : `, ${failed} FAILED`;
  const shares = `least ${least.toFixed(3)}, median ${median.toFixed(3)} (helper threads ${helpers.toFixed(3)})`;
  console.log(`${router}: ${shares}, start ${startMs.toFixed(0)}, ratio ${ratio.toFixed(3)}${faults}`);
}
process.exit(0);
