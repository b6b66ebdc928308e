// Compares routers by their processor time: all run at once, each before engines of its own, and short loads of the same
// bodies take turns among them, so that what else runs on the machine disturbs all of them alike.

import { readdirSync, readFileSync } from 'node:fs';
import { BlockHasher } from '../../src/core/index.ts';
import { loadBuiltinTokenizer } from '../../src/tokens/index.ts';
import { quantiles } from '../measure.ts';
import { tokenIds } from './bench-gateway.ts';
import { type BenchBody, Bodies, bodyShapes, type PromptBlocks } from './bodies.ts';
import { type Contender, RunningContender } from './contender.ts';
import { runLoad } from './load-client.ts';
import { MockEngines } from './mock-engines.ts';
import { MockEvents } from './mock-events.ts';
import { leaveRouterCore } from './processor.ts';
import { type TextKind, wordsOf } from './texts.ts';

/** Requests of one load before the measurement. */
const warmUpStep = 500;

export interface PairsOptions {
  /** The first one is the base of the ratios. */
  readonly contenders: readonly Contender[];
  readonly text: TextKind;
  readonly engines: number;
  readonly streams: number;
  readonly promptWords: number;
  /** Tokens of an answer, one per chunk. */
  readonly chunks: number;
  readonly rounds: number;
  /** Of each router in each round. */
  readonly requests: number;
  readonly warmUpRequests: number;
  /** Whether to move this process off the router's core. */
  readonly pin: boolean;
  say(line: string): void;
}

/** Processor time per request in ms, all threads of the process. */
export interface PairsFigure {
  readonly router: string;
  readonly failed: number;
  readonly least: number;
  readonly median: number;
  /** Median over the rounds of the ratio to the base in the same round. */
  readonly ratio: number;
}

/** Linux only: reads /proc. */
export async function measurePairs(options: PairsOptions): Promise<PairsFigure[]> {
  const { contenders, text: kind, promptWords, chunks: outputTokens, warmUpRequests, rounds, requests, say } = options;
  if (options.pin) leaveRouterCore();
  const tokenizer = await loadBuiltinTokenizer();
  const hasher = new BlockHasher();
  const bodies = new Bodies({ kind, words: wordsOf(tokenizer), promptWords, outputTokens, seed: 1 });
  const blocks: PromptBlocks[] = [];
  const write = (count: number, round: number): BenchBody[] => {
    const written = bodies.write(count, bodyShapes[round % bodyShapes.length]!);
    for (const { number } of written) blocks[number] = bodies.blocksOf(number, tokenizer, hasher);
    return written;
  };
  const tokenize = (question: string): Uint32Array => tokenIds(question, tokenizer);
  const sides: Side[] = [];
  try {
    for (const contender of contenders) sides.push(await Side.start(contender, options, blocks, tokenize));
    for (let warmed = 0; warmed < warmUpRequests; warmed += warmUpStep) {
      const some = write(Math.min(warmUpStep, warmUpRequests - warmed), warmed / warmUpStep);
      for (const side of sides) await side.load(some);
    }
    for (let round = 0; round < rounds; round++) {
      const some = write(requests, round);
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) side.cpuMs.push(await side.load(some));
      say(`round ${round + 1}: ${sides.map(({ name, cpuMs }) => `${name} ${cpuMs.at(-1)!.toFixed(3)}`).join(', ')}`);
    }
  } finally {
    for (const side of sides) await side.stop();
  }
  const base = sides[0]!.cpuMs;
  return sides.map(({ name, failed, cpuMs }) => ({
    router: name,
    failed,
    least: Math.min(...cpuMs),
    median: quantiles(Float64Array.from(cpuMs)).p50,
    ratio: quantiles(Float64Array.from(cpuMs, (ms, round) => ms / base[round]!)).p50,
  }));
}

/** One router before engines of its own. */
class Side {
  readonly name: string;
  readonly cpuMs: number[] = [];
  failed = 0;
  readonly #running: RunningContender;
  readonly #engines: MockEngines;
  readonly #events: MockEvents;
  readonly #streams: number;

  private constructor(
    name: string,
    streams: number,
    running: RunningContender,
    engines: MockEngines,
    events: MockEvents,
  ) {
    this.name = name;
    this.#streams = streams;
    this.#running = running;
    this.#engines = engines;
    this.#events = events;
  }

  /** @param blocks by number of the body */
  static async start(
    contender: Contender,
    { engines: count, chunks, streams }: PairsOptions,
    blocks: readonly PromptBlocks[],
    tokenize: (question: string) => Uint32Array,
  ): Promise<Side> {
    const events = await MockEvents.open(count);
    const engines = await MockEngines.start({
      count,
      chunks,
      chunkMs: 2,
      lockstep: true,
      tokenize,
      onRequest: (engine, number) => {
        const computed = blocks[number];
        return computed === undefined ? { promptTokens: 1, cachedTokens: 0 } : events.computed(engine, computed);
      },
    });
    const addresses = engines.urls.map((url, engine) => ({
      url,
      kvEvents: events.endpoint(engine),
      kvReplay: events.replayEndpoint(engine),
    }));
    const running = await RunningContender.start(contender, addresses);
    return new Side(contender.name, streams, running, engines, events);
  }

  /** @returns processor time per request in ms */
  async load(bodies: readonly BenchBody[]): Promise<number> {
    const target = {
      urlOf: () => this.#running.url,
      path: '/v1/chat/completions',
      read: (number: number) => this.#engines.arrived(number),
    };
    const beforeMs = cpuMsOf(this.#running.pid);
    this.failed += (await runLoad(target, bodies, this.#streams)).failed;
    return (cpuMsOf(this.#running.pid) - beforeMs) / bodies.length;
  }

  async stop(): Promise<void> {
    await this.#running.stop();
    this.#engines.close();
    this.#events.close();
  }
}

/** Processor time of the threads that the process has now, in finer steps than those of /proc/PID/stat. */
function cpuMsOf(pid: number): number {
  let ns = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]);
  }
  return ns / 1e6;
}
