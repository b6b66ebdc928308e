// After all requests: no load is left, every view is exact, and the index equals a replay of the events.

import { ask } from './ask.ts';
import type { EngineUnderTest, Stage } from './engine-under-test.ts';
import type { GatewayProcess } from './gateway-process.ts';
import type { NaiveCache } from './naive-cache.ts';
import { replayCache } from './replayed-cache.ts';
import { settle } from './settle.ts';
import type { Verdict } from './verdict-table.ts';

export async function restPhase(stage: Stage, gateway: GatewayProcess): Promise<Verdict[]> {
  const loadsZero = await gateway.rests();
  await settle(stage, gateway);
  const caches = await Promise.all(
    stage.engines.map(({ replayEndpoint }) => replayCache(replayEndpoint, stage.blockSize)),
  );
  const workers = await gateway.workers();
  const trusts = stage.engines.map(({ url }) => workers.find((worker) => worker.url === url)!.trust);
  for (const { kind, reason, detail } of trusts) if (kind !== 'exact') stage.say(`${kind}: ${reason}, ${detail}`);
  return [
    {
      check: 'evicted blocks',
      seen: perEngine(stage.engines, ({ name }, i) => `${name} ${caches[i]!.removedBlocks}`),
      required: 'some',
      holds: caches.some(({ removedBlocks }) => removedBlocks > 0),
    },
    ...(await compareIndex(stage, gateway, caches)),
    {
      check: 'trust',
      seen: perEngine(stage.engines, ({ name }, i) => `${name} ${trusts[i]!.kind}`),
      required: 'exact',
      holds: trusts.every(({ kind }) => kind === 'exact'),
    },
    {
      check: 'loads',
      seen: loadsZero && (await gateway.rests()) ? 'zero' : 'not zero',
      required: 'zero',
      holds: loadsZero,
    },
  ];
}

/** Compares block counts, and the holders of every chain of blocks. */
async function compareIndex(stage: Stage, gateway: GatewayProcess, caches: readonly NaiveCache[]): Promise<Verdict[]> {
  const { engines, say } = stage;
  const loads = await gateway.loads();
  const held = engines.map(({ url }) => loads.find((load) => load.url === url)!.heldBlocks);
  const prompts = caches.flatMap((cache) => cache.chains()).flatMap(probesOf);
  let wrong = 0;
  for (const [i, prompt] of prompts.entries()) {
    const overlaps = await overlapsOf(stage, gateway, `probe-${i}`, prompt);
    const expected = caches.map((cache) => cache.overlapBlocks(prompt));
    if (expected.every((blocks, engine) => blocks === overlaps[engine])) continue;
    wrong += 1;
    say(`probe-${i}: the index has ${overlaps.join(' and ')} leading blocks, the replay ${expected.join(' and ')}`);
  }
  return [
    {
      check: 'index = replay: held blocks',
      seen: perEngine(engines, ({ name }, i) => `${name} ${held[i]} of ${caches[i]!.heldBlocks}`),
      required: 'equal',
      holds: caches.every(({ heldBlocks }, i) => heldBlocks === held[i]),
    },
    {
      check: 'index = replay: leading blocks of every chain held, whole and altered',
      seen: `${prompts.length - wrong} of ${prompts.length}`,
      required: 'all',
      holds: wrong === 0 && prompts.length > 0,
    },
  ];
}

/** The chain plus one token, so that all of it counts, and the chain with its last token changed. */
function probesOf(chain: readonly number[]): number[][] {
  const last = chain.at(-1)!;
  return [
    [...chain, 0],
    [...chain.slice(0, -1), last === 0 ? 1 : last - 1, 0],
  ];
}

/** The engine refuses the request, so its cache is not affected; the router still decides. */
async function overlapsOf(
  { engines, model }: Stage,
  gateway: GatewayProcess,
  id: string,
  prompt: readonly number[],
): Promise<number[]> {
  const reply = await ask(gateway.url, id, { path: '/v1/completions', body: { model, prompt, max_tokens: 0 } });
  if (reply.ending === 'done') throw new Error('an engine has answered a request for no tokens');
  const { candidates } = await gateway.decision(id);
  return engines.map(({ url }) => candidates.find(({ worker }) => worker.startsWith(`${url}#`))!.overlapBlocks);
}

function perEngine(engines: readonly EngineUnderTest[], text: (engine: EngineUnderTest, i: number) => string): string {
  return engines.map(text).join(', ');
}
