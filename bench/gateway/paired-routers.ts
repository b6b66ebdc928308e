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
  /** Every round starts all routers anew, without a warm-up: measures a router's first requests. */
  readonly fresh: boolean;
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
  /** The part of `median` outside the main thread: V8's helpers compile and collect garbage. Median over the rounds. */
  readonly helpers: number;
  /** Processor time of a start in ms, until requests are answered. Median over the starts. */
  readonly startMs: number;
  /** Median over the rounds of the ratio to the base in the same round. */
  readonly ratio: number;
}

/** Linux only: reads /proc. */
export async function measurePairs(options: PairsOptions): Promise<PairsFigure[]> {
  const { contenders, text: kind, promptWords, chunks: outputTokens, rounds, requests, fresh } = options;
  const warmUpRequests = fresh ? 0 : options.warmUpRequests;
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
  const sides = contenders.map((contender) => new Side(contender, options, blocks, tokenize));
  try {
    for (const side of sides) if (!fresh) await side.start();
    for (let warmed = 0; warmed < warmUpRequests; warmed += warmUpStep) {
      const some = write(Math.min(warmUpStep, warmUpRequests - warmed), warmed / warmUpStep);
      for (const side of sides) await side.load(some);
    }
    for (let round = 0; round < rounds; round++) {
      const some = write(requests, round);
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        if (fresh) await side.start();
        side.measured.push(await side.load(some));
        if (fresh) await side.stop();
      }
      const figures = sides.map(({ name, measured }) => `${name} ${measured.at(-1)!.totalMs.toFixed(3)}`);
      options.say(`round ${round + 1}: ${figures.join(', ')}`);
    }
  } finally {
    for (const side of sides) await side.stop();
  }
  return sides.map(({ name, failed, measured, startsMs }) => ({
    router: name,
    failed,
    least: Math.min(...measured.map(({ totalMs }) => totalMs)),
    median: medianOf(measured.map(({ totalMs }) => totalMs)),
    helpers: medianOf(measured.map(({ totalMs, mainMs }) => totalMs - mainMs)),
    startMs: medianOf(startsMs),
    ratio: medianOf(measured.map(({ totalMs }, round) => totalMs / sides[0]!.measured[round]!.totalMs)),
  }));
}

function medianOf(figures: readonly number[]): number {
  return quantiles(Float64Array.from(figures)).p50;
}

/** Processor time in ms. */
interface ProcessorTime {
  readonly totalMs: number;
  readonly mainMs: number;
}

/** A router that runs before engines of its own. */
interface RunningSide {
  readonly router: RunningContender;
  readonly engines: MockEngines;
  readonly events: MockEvents;
}

class Side {
  readonly name: string;
  /** Of each round, per request. */
  readonly measured: ProcessorTime[] = [];
  readonly startsMs: number[] = [];
  failed = 0;
  readonly #contender: Contender;
  readonly #options: PairsOptions;
  readonly #blocks: readonly PromptBlocks[];
  readonly #tokenize: (question: string) => Uint32Array;
  #running: RunningSide | null = null;

  /** @param blocks by number of the body */
  constructor(
    contender: Contender,
    options: PairsOptions,
    blocks: readonly PromptBlocks[],
    tokenize: (question: string) => Uint32Array,
  ) {
    this.name = contender.name;
    this.#contender = contender;
    this.#options = options;
    this.#blocks = blocks;
    this.#tokenize = tokenize;
  }

  async start(): Promise<void> {
    const { engines: count, chunks } = this.#options;
    const events = await MockEvents.open(count);
    const engines = await MockEngines.start({
      count,
      chunks,
      chunkMs: 2,
      lockstep: true,
      tokenize: this.#tokenize,
      onRequest: (engine, number) => {
        const computed = this.#blocks[number];
        return computed === undefined ? { promptTokens: 1, cachedTokens: 0 } : events.computed(engine, computed);
      },
    });
    const addresses = engines.urls.map((url, engine) => ({
      url,
      kvEvents: events.endpoint(engine),
      kvReplay: events.replayEndpoint(engine),
    }));
    const router = await RunningContender.start(this.#contender, addresses);
    this.#running = { router, engines, events };
    this.startsMs.push(processorTimeOf(router.pid).totalMs);
  }

  /** @returns processor time per request */
  async load(bodies: readonly BenchBody[]): Promise<ProcessorTime> {
    const { router, engines } = this.#running!;
    const target = {
      urlOf: () => router.url,
      path: '/v1/chat/completions',
      read: (number: number) => engines.arrived(number),
    };
    const before = processorTimeOf(router.pid);
    this.failed += (await runLoad(target, bodies, this.#options.streams)).failed;
    const after = processorTimeOf(router.pid);
    return {
      totalMs: (after.totalMs - before.totalMs) / bodies.length,
      mainMs: (after.mainMs - before.mainMs) / bodies.length,
    };
  }

  async stop(): Promise<void> {
    if (this.#running === null) return;
    const { router, engines, events } = this.#running;
    this.#running = null;
    await router.stop();
    engines.close();
    events.close();
  }
}

/** That of the threads that the process has now, in finer steps than those of /proc/PID/stat. */
function processorTimeOf(pid: number): ProcessorTime {
  let totalMs = 0;
  let mainMs = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const ms = Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
    totalMs += ms;
    if (task === String(pid)) mainMs = ms;
  }
  return { totalMs, mainMs };
}
