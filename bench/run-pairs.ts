// Compares builds of the gateway by their processor time: all run at once, and short loads take turns among them.
//
// `node dist-bench/bench/run-pairs.js --build old=OTHER/dist --build new=dist [--mode default,round-robin --chunks 1 --streams 64
// --text prose --rounds 8 --requests 300 --warm-up 1500 --node-flag FLAG]`

import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BlockHasher } from '../src/core/index.ts';
import { loadBuiltinTokenizer } from '../src/tokens/index.ts';
import { tokenIds } from './gateway/bench-gateway.ts';
import { type BenchBody, Bodies, bodyShapes, type PromptBlocks } from './gateway/bodies.ts';
import { endRoutersWithUs, RunningContender } from './gateway/contender.ts';
import { type Build, bareRelay, buildOf, everythingOn, withoutTokens } from './gateway/contenders.ts';
import { runLoad } from './gateway/load-client.ts';
import { MockEngines } from './gateway/mock-engines.ts';
import { MockEvents } from './gateway/mock-events.ts';
import { leaveRouterCore } from './gateway/processor.ts';
import { type TextKind, wordsOf } from './gateway/texts.ts';
import { environment } from './measure.ts';

const { values } = parseArgs({
  options: {
    build: { type: 'string', multiple: true, default: ['new=dist'] },
    mode: { type: 'string', default: 'default' },
    chunks: { type: 'string', default: '1' },
    streams: { type: 'string', default: '64' },
    text: { type: 'string', default: 'prose' },
    rounds: { type: 'string', default: '8' },
    requests: { type: 'string', default: '300' },
    'warm-up': { type: 'string', default: '1500' },
    bare: { type: 'boolean', default: false },
    'node-flag': { type: 'string', multiple: true, default: [] },
  },
});
const [streams, chunks, rounds, requests, warmUp] = [
  values.streams,
  values.chunks,
  values.rounds,
  values.requests,
  values['warm-up'],
].map(Number) as [number, number, number, number, number];
const engineCount = 8;
const promptWords = 5000;

endRoutersWithUs();
leaveRouterCore();
console.log(environment());
const tokenizer = await loadBuiltinTokenizer();
const words = wordsOf(tokenizer);
const bodies = new Bodies({ kind: values.text as TextKind, words, promptWords, outputTokens: chunks, seed: 1 });
const hasher = new BlockHasher();
const blocks: PromptBlocks[] = [];

/** One router before engines of its own. */
class Side {
  readonly name: string;
  readonly #running: RunningContender;
  readonly #engines: MockEngines;
  readonly #cpuMs: number[] = [];

  private constructor(name: string, running: RunningContender, engines: MockEngines) {
    this.name = name;
    this.#running = running;
    this.#engines = engines;
  }

  static async start(build: Build | null): Promise<Side> {
    const events = await MockEvents.open(engineCount);
    const engines = await MockEngines.start({
      ...{ count: engineCount, chunks, chunkMs: 2, lockstep: true },
      onRequest: (engine, number) => {
        const computed = blocks[number];
        return computed === undefined ? { promptTokens: 1, cachedTokens: 0 } : events.computed(engine, computed);
      },
      tokenize: (question) => tokenIds(question, tokenizer),
    });
    const addresses = engines.urls.map((url, at) => ({
      url,
      kvEvents: events.endpoint(at),
      kvReplay: events.replayEndpoint(at),
    }));
    const of = values.mode === 'default' ? everythingOn : withoutTokens;
    const contender = build === null ? bareRelay : of(build, values['node-flag']);
    return new Side(build?.name ?? bareRelay.name, await RunningContender.start(contender, addresses), engines);
  }

  async load(some: readonly BenchBody[]): Promise<number> {
    const target = {
      urlOf: () => this.#running.url,
      path: '/v1/chat/completions',
      read: (number: number) => this.#engines.arrived(number),
    };
    const before = cpuMs(this.#running.pid);
    const { failed } = await runLoad(target, some, streams);
    const used = (cpuMs(this.#running.pid) - before) / some.length;
    if (failed > 0) console.log(`${this.name}: ${failed} FAILED`);
    return used;
  }

  async measure(some: readonly BenchBody[]): Promise<void> {
    this.#cpuMs.push(await this.load(some));
  }

  get cpuMs(): readonly number[] {
    return this.#cpuMs;
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }
}

function write(count: number, round: number): BenchBody[] {
  const written = bodies.write(count, bodyShapes[round % bodyShapes.length]!);
  for (const { number } of written) blocks[number] = bodies.blocksOf(number, tokenizer, hasher);
  return written;
}

/** Processor time of all threads of the process, which is finer than the times in /proc/PID/stat. */
function cpuMs(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
  }
  return ns / 1e6;
}

function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

const sides: Side[] = [];
const builds: (Build | null)[] = [...values.build.map(buildOf), ...(values.bare ? [null] : [])];
for (const build of builds) sides.push(await Side.start(build));
for (let warmed = 0; warmed < warmUp; warmed += 500) {
  const some = write(Math.min(500, warmUp - warmed), warmed / 500);
  for (const side of sides) await side.load(some);
}
for (let round = 0; round < rounds; round++) {
  const some = write(requests, round);
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) await side.measure(some);
  console.log(
    `round ${round + 1}: ${sides.map(({ name, cpuMs }) => `${name} ${cpuMs.at(-1)!.toFixed(3)}`).join(', ')}`,
  );
}
const [base] = sides;
for (const { name, cpuMs } of sides) {
  const ratios = cpuMs.map((ms, round) => ms / base!.cpuMs[round]!);
  const least = Math.min(...cpuMs);
  console.log(
    `${name}: least ${least.toFixed(3)} ms, median ${median(cpuMs).toFixed(3)} ms; to ${base!.name}: ` +
      `least ${(least / Math.min(...base!.cpuMs)).toFixed(3)}, median of ratios ${median(ratios).toFixed(3)}`,
  );
}
for (const side of sides) await side.stop();
process.exit(0);
