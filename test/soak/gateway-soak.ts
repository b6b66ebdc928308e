// A gateway process under an open loop of streams, with clients that leave and engines that are killed: nothing is lost, leaked or grown.

import { expect } from 'vitest';
import { Random } from '../../src/core/index.ts';
import { eventually } from '../e2e/harness.ts';
import { quantile, type StreamEnd, stream } from '../fault/fault-client.ts';
import { type ProbeFigures, whileProbing } from '../fault/health-prober.ts';
import {
  atRest,
  endAll,
  type Program,
  readyEngines,
  restartScripted,
  restartSim,
  script,
  startGateway,
  startScripted,
  startSim,
} from '../fault/processes.ts';

export interface GatewaySoakOptions {
  readonly durationMs: number;
  readonly requestsPerS: number;
  /** As many simulated engines with KV events as scripted ones without. */
  readonly engineCount: number;
  /** Between two engines that are killed, on average. */
  readonly killEveryMs: number;
  /** Of the median of the memory, from the second third to the last. */
  readonly growthBytesMax: number;
  readonly seed: number;
}

export interface GatewaySoakReport {
  readonly requests: number;
  /** Not sent, since as many were open as may be. */
  readonly unsent: number;
  readonly completed: number;
  /** Clients that went away, as they were to. */
  readonly left: number;
  /** Streams that had tokens when their engine was killed. */
  readonly lost: number;
  readonly kills: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Medians of the gateway's resident memory in each third. */
  readonly residentBytes: readonly number[];
  readonly probes: ProbeFigures;
}

/** Of every hundred clients. */
const leaving = 5;
const leaveMsMax = 400;
const familyCount = 64;
const prefixTokens = 512;
const tailTokensMax = 512;
const outputTokensMax = 12;
const downMsMax = 3000;
const simSpeedup = 10;
/** Streams at a time. More are not sent: then the machine is too slow for the rate, and clients would wait in vain. */
const openMax = 1000;
const sampleEveryMs = 250;

/** An engine that can be killed and started again. */
interface SoakedEngine {
  readonly program: Program;
  restart(): Promise<void>;
}

/** @throws AssertionError if anything is not as it must be at the end */
export async function soakGateway(options: GatewaySoakOptions): Promise<GatewaySoakReport> {
  const engines = await startEngines(options.engineCount);
  let gateway: Program | undefined;
  try {
    gateway = await startGateway(engines.map(({ program }) => program));
    return await run(gateway, engines, options);
  } finally {
    await endAll([gateway, ...engines.map(({ program }) => program)]);
  }
}

async function startEngines(count: number): Promise<SoakedEngine[]> {
  const ways = { kind: 'stream', firstTokenMs: 30, tokens: 8, gapMs: 10 };
  const scripted = async (): Promise<SoakedEngine> => {
    const program = await startScripted();
    await script(program, ways);
    return {
      program,
      restart: async () => {
        await restartScripted(program);
        await script(program, ways);
      },
    };
  };
  const simulated = async (): Promise<SoakedEngine> => {
    const program = await startSim(simSpeedup);
    return { program, restart: () => restartSim(program) };
  };
  return Promise.all(Array.from({ length: count }, (_, i) => (i % 2 === 0 ? simulated() : scripted())));
}

async function run(
  gateway: Program,
  engines: readonly SoakedEngine[],
  options: GatewaySoakOptions,
): Promise<GatewaySoakReport> {
  const random = new Random(options.seed);
  const residentBytes: number[] = [];
  const sampler = setInterval(() => residentBytes.push(gateway.residentBytes()), sampleEveryMs);
  const endMs = performance.now() + options.durationMs;
  const { result, probes } = await whileProbing(gateway.url, () =>
    Promise.all([sendUntil(endMs, gateway.url, options.requestsPerS, random), killUntil(endMs, engines, options)]),
  ).finally(() => clearInterval(sampler));
  const [{ ends, unsent }, kills] = result;
  await eventually(async () => (await readyEngines(gateway)) === engines.length, 40_000);
  await atRest(gateway);
  const failures = ends.filter(({ end, leaves }) => !isFair(end, leaves)).map(({ end }) => end);
  expect(failures).toEqual([]);
  expect(probes.failures).toBe(0);
  const thirds = mediansOfThirds(residentBytes);
  expect(thirds[2]! - thirds[1]!).toBeLessThan(options.growthBytesMax);
  const waits = ends.map(({ end }) => end.firstTokenMs).filter((ms) => !Number.isNaN(ms));
  const count = (how: StreamEnd['how']): number => ends.filter(({ end }) => end.how === how).length;
  return {
    requests: ends.length,
    unsent,
    completed: count('done'),
    left: count('timeout'),
    lost: count('error'),
    kills,
    ttftP50Ms: quantile(waits, 0.5),
    ttftP99Ms: quantile(waits, 0.99),
    residentBytes: thirds,
    probes,
  };
}

interface Sent {
  readonly end: StreamEnd;
  /** Its client was to go away early. */
  readonly leaves: boolean;
}

/** Streams at random times, however long those before take. */
async function sendUntil(
  endMs: number,
  url: string,
  requestsPerS: number,
  random: Random,
): Promise<{ ends: Sent[]; unsent: number }> {
  const sent: Promise<Sent>[] = [];
  let open = 0;
  let unsent = 0;
  const send = async (): Promise<Sent> => {
    const leaves = random.below(100) < leaving;
    open += 1;
    const end = await (leaves ? stream(url, body(random), random.below(leaveMsMax) + 1) : stream(url, body(random)));
    open -= 1;
    return { end, leaves };
  };
  let nextMs = performance.now();
  while (nextMs < endMs) {
    nextMs += random.exponential(1000 / requestsPerS);
    const waitMs = nextMs - performance.now();
    if (waitMs > 1) await pause(waitMs);
    if (open < openMax) sent.push(send());
    else unsent += 1;
  }
  return { ends: await Promise.all(sent), unsent };
}

/** Half of every prompt is shared with others, the rest with none. */
function body(random: Random): string {
  const family = random.below(familyCount);
  const prompt = Array.from({ length: prefixTokens + random.below(tailTokensMax) + 1 }, (_, i) =>
    i < prefixTokens ? family * prefixTokens + i : random.below(100_000),
  );
  const outputTokens = random.below(outputTokensMax) + 1;
  return JSON.stringify({ model: 'scripted', prompt, stream: true, max_tokens: outputTokens, ignore_eos: true });
}

/** One engine at a time. @returns how many were killed */
async function killUntil(
  endMs: number,
  engines: readonly SoakedEngine[],
  { killEveryMs, seed }: GatewaySoakOptions,
): Promise<number> {
  const random = new Random(seed + 1);
  let kills = 0;
  for (;;) {
    await pause(killEveryMs / 2 + random.below(killEveryMs));
    if (performance.now() >= endMs) return kills;
    const engine = engines[random.below(engines.length)]!;
    await engine.program.end();
    kills += 1;
    await pause(random.below(downMsMax));
    await engine.restart();
  }
}

/** What may become of a request: complete; given up by its client; or cut when its engine was killed, and told so. */
function isFair({ how, tokens }: StreamEnd, leaves: boolean): boolean {
  return how === 'done' || (how === 'error' && tokens > 0) || (how === 'timeout' && leaves);
}

function mediansOfThirds(samples: readonly number[]): number[] {
  const third = Math.ceil(samples.length / 3);
  return [0, 1, 2].map((i) => quantile(samples.slice(i * third, (i + 1) * third), 0.5));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
