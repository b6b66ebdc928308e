// A gateway process under an open loop of streams, with leaving clients and killed engines: nothing is lost or leaked.

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
  /** Number of simulated engines with KV events, and of scripted ones without. */
  readonly engineCount: number;
  /** Mean time between kills of an engine. */
  readonly killEveryMs: number;
  /** Allowed growth of the median memory from the second third to the last. */
  readonly growthBytesMax: number;
  readonly seed: number;
}

export interface GatewaySoakReport {
  readonly requests: number;
  /** Requests not sent because `openMax` were open. */
  readonly unsent: number;
  readonly completed: number;
  /** Clients that left on purpose. */
  readonly left: number;
  /** Streams with tokens whose engine was killed. */
  readonly lost: number;
  readonly kills: number;
  readonly ttftP50Ms: number;
  readonly ttftP99Ms: number;
  /** Medians of the gateway's resident memory in each third. */
  readonly residentBytes: readonly number[];
  readonly probes: ProbeFigures;
}

/** Clients in a hundred that leave early. */
const leaving = 5;
const leaveMsMax = 400;
const familyCount = 64;
const prefixTokens = 512;
const tailTokensMax = 512;
const outputTokensMax = 12;
const downMsMax = 3000;
const simSpeedup = 10;
/** Open streams. Further ones are not sent, since the machine is then too slow for the rate. */
const openMax = 1000;
const sampleEveryMs = 250;

/** An engine that can be killed and started again. */
interface SoakedEngine {
  readonly program: Program;
  restart(): Promise<void>;
}

/** @throws AssertionError if a check fails at the end */
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
  /** Its client leaves early on purpose. */
  readonly leaves: boolean;
}

/** Sends streams at random times, however long earlier ones take. */
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

/** Half of every prompt is shared with others, the rest is unique. */
function body(random: Random): string {
  const family = random.below(familyCount);
  const prompt = Array.from({ length: prefixTokens + random.below(tailTokensMax) + 1 }, (_, i) =>
    i < prefixTokens ? family * prefixTokens + i : random.below(100_000),
  );
  const outputTokens = random.below(outputTokensMax) + 1;
  return JSON.stringify({ model: 'scripted', prompt, stream: true, max_tokens: outputTokens, ignore_eos: true });
}

/** Kills one engine at a time. @returns the number of kills */
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

/** Whether the end is allowed: complete, left by its client, or cut with an error event when its engine was killed. */
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
