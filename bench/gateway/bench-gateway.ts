// The gateway bench: processor time per request and added time to first token of routers, before the same mock engines.
//
// The router has its own core; engines and client run in this process on the other cores.

import { BlockHasher } from '../../src/core/index.ts';
import { type BuiltinTokenizer, loadBuiltinTokenizer } from '../../src/tokens/index.ts';
import { readTokenize } from '../../src/worker/generation-request.ts';
import { quantiles } from '../measure.ts';
import { Bodies, type BodyShape, bodyShapes, type PromptBlocks } from './bodies.ts';
import { type Contender, type EngineAddress, RunningContender } from './contender.ts';
import { runLoad } from './load-client.ts';
import { MockEngines, type MockUsage } from './mock-engines.ts';
import { MockEvents } from './mock-events.ts';
import { leaveRouterCore, processFigures } from './processor.ts';
import { type TextKind, wordsOf } from './texts.ts';

export interface GatewayBenchOptions {
  readonly contenders: readonly Contender[];
  readonly texts: readonly TextKind[];
  readonly engines: number;
  /** Numbers of concurrent streams. */
  readonly streams: readonly number[];
  /** Requests of one measurement with this many streams, over both shapes of bodies. */
  requestsAt(streams: number): number;
  readonly warmUpRequests: number;
  readonly promptWords: number;
  readonly chunks: number;
  readonly chunkMs: number;
  /** See `MockEnginesOptions`. */
  readonly lockstep: boolean;
  readonly seed: number;
  /** Repetitions of all measurements; the contenders take turns. */
  readonly rounds: number;
  /** Whether to move this process off the router's core. */
  readonly pin: boolean;
  say(line: string): void;
}

/** One router at one number of streams. `direct`: the client's own connections to the engines. */
export interface Measurement {
  readonly router: string;
  readonly text: TextKind;
  readonly shape: BodyShape;
  readonly streams: number;
  readonly round: number;
  readonly requests: number;
  readonly failed: number;
  readonly perS: number;
  /** Null if it can't be measured. */
  readonly cpuMsPerRequest: number | null;
  /** Of it, that of the process that was started, without its descendants. */
  readonly ownCpuMsPerRequest: number | null;
  readonly residentMb: number | null;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Reads per answer at the client: fewer than chunks if the router or the machine was late. */
  readonly readsPerRequest: number;
}

export const direct = 'direct';

export async function measureGateways(options: GatewayBenchOptions): Promise<Measurement[]> {
  if (options.pin) leaveRouterCore();
  const tokenizer = await loadBuiltinTokenizer();
  const words = wordsOf(tokenizer);
  const measurements: Measurement[] = [];
  for (let round = 0; round < options.rounds; round++) {
    for (const text of options.texts) {
      for (const contender of [null, ...options.contenders]) {
        measurements.push(...(await measureOne(contender, { options, tokenizer, words, text, round })));
      }
    }
  }
  return measurements;
}

interface Circumstances {
  readonly options: GatewayBenchOptions;
  readonly tokenizer: BuiltinTokenizer;
  readonly words: readonly string[];
  readonly text: TextKind;
  readonly round: number;
}

/** @param contender null: direct access */
async function measureOne(contender: Contender | null, circumstances: Circumstances): Promise<Measurement[]> {
  const { options, tokenizer, words, text, round } = circumstances;
  const { promptWords, chunks: outputTokens, seed } = options;
  const bodies = new Bodies({ kind: text, words, promptWords, outputTokens, seed });
  const blocks: PromptBlocks[] = [];
  const events = await MockEvents.open(options.engines);
  const onRequest = (engine: number, number: number): MockUsage => {
    const computed = blocks[number];
    return computed === undefined ? { promptTokens: 1, cachedTokens: 0 } : events.computed(engine, computed);
  };
  const engines = await MockEngines.start({
    ...options,
    count: options.engines,
    onRequest,
    tokenize: (question) => tokenIds(question, tokenizer),
  });
  const hasher = new BlockHasher();
  const write = (count: number, shape: BodyShape): ReturnType<Bodies['write']> => {
    const written = bodies.write(count, shape);
    for (const { number } of written) blocks[number] = bodies.blocksOf(number, tokenizer, hasher);
    return written;
  };
  const addresses = engines.urls.map(
    (url, engine): EngineAddress => ({
      url,
      kvEvents: events.endpoint(engine),
      kvReplay: events.replayEndpoint(engine),
    }),
  );
  const name = contender?.name ?? direct;
  const measured: Measurement[] = [];
  let running: RunningContender | null = null;
  try {
    running = contender === null ? null : await RunningContender.start(contender, addresses);
    const urlOf = (stream: number): string => running?.url ?? engines.urls[stream % engines.urls.length]!;
    const read = (number: number): void => engines.arrived(number);
    const target = { urlOf, path: '/v1/chat/completions', read };
    for (const shape of bodyShapes) await runLoad(target, write(options.warmUpRequests / 2, shape), 64);
    for (const streams of options.streams) {
      for (const shape of bodyShapes) {
        const load = write(options.requestsAt(streams) / 2, shape);
        const before = running === null ? null : processFigures(running.pid);
        const { requests, failed, seconds, ttftMs, reads } = await runLoad(target, load, streams);
        const after = running === null ? null : processFigures(running.pid);
        const { p50, p99 } = quantiles(ttftMs);
        const cpuS = before === null || after === null ? null : after.cpuS - before.cpuS;
        measured.push({
          router: name,
          text,
          shape,
          streams,
          round,
          requests,
          failed,
          perS: requests / seconds,
          cpuMsPerRequest: cpuS === null ? null : (1000 * cpuS) / requests,
          ownCpuMsPerRequest:
            before === null || after === null ? null : (1000 * (after.ownCpuS - before.ownCpuS)) / requests,
          residentMb: after === null ? null : after.residentBytes / 1e6,
          ttftP50Ms: p50,
          ttftP99Ms: p99,
          readsPerRequest: reads / requests,
        });
      }
    }
    options.say(`${name}, ${text}, round ${round + 1}: ${measured.map(brief).join('; ')}`);
  } catch (error) {
    options.say(`${name}, ${text}: left out: ${(error as Error).message}`);
  } finally {
    await running?.stop();
    engines.close();
    events.close();
  }
  return measured;
}

export function tokenIds(text: string, tokenizer: BuiltinTokenizer): Uint32Array {
  const { input } = readTokenize({ value: JSON.parse(text), text });
  const encoded = 'chat' in input ? tokenizer.encodeChat(input.chat) : tokenizer.encode(input.text);
  if (encoded instanceof Promise) throw new Error('the built-in tokenizer answers at once');
  return 'ids' in encoded ? encoded.ids : encoded;
}

function brief({ streams, shape, cpuMsPerRequest, ttftP50Ms, failed, readsPerRequest }: Measurement): string {
  const cpu = cpuMsPerRequest === null ? '' : ` ${cpuMsPerRequest.toFixed(2)} ms`;
  return `${streams} ${shape}${cpu} (TTFT ${ttftP50Ms.toFixed(1)}, ${readsPerRequest.toFixed(0)} reads)${failed === 0 ? '' : `, ${failed} FAILED`}`;
}
