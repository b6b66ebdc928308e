// Synthetic multi-turn chat: each prompt contains the conversation so far and one more message.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { geometric, lognormal } from '../distributions.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fullBlocks, type Generator, generated, pick, type Shape, wholeTokens } from './generator.ts';

interface Conversations {
  readonly systemPrompts: number;
  readonly systemTokens: number;
  /** At least 2 turns per session: 1 + a geometric draw. */
  readonly turnsMean: number;
  readonly sessionGapMs: number;
  /** From the arrival of one turn to that of the next. */
  readonly thinkMeanMs: number;
  /** Scale s of lognormal(ln s - 0.3, 0.8), which has about mean s. */
  readonly messageTokens: number;
  readonly answerTokens: number;
}

/** A session ends before a prompt and its answer exceed this, the usual context window. */
const contextTokensMax = 131_072;

const logDeviation = 0.8;
const drawLength = (random: Random, scale: number): number =>
  wholeTokens(lognormal(random, Math.log(scale) - 0.3, logDeviation));

/**
 * One of 6 system prompts of 1,024 tokens; turns 1 + Geometric(1/6), mean 7; Poisson starts of sessions, mean gap 6 s;
 * messages lognormal(ln 400 - 0.3, 0.8), answers lognormal(ln 300 - 0.3, 0.8), which the next prompt contains as new
 * blocks; think time exponential, mean 25 s, open loop.
 */
export const multiTurnWorkload: Generator = conversations({
  systemPrompts: 6,
  systemTokens: 1024,
  turnsMean: 7,
  sessionGapMs: 6000,
  thinkMeanMs: 25_000,
  messageTokens: 400,
  answerTokens: 300,
});

/** The same with 3 system prompts of 4,096, 11 turns on average, gap 10 s, think 30 s, messages 2,500, answers 250. */
export const multiTurnLongWorkload: Generator = conversations({
  systemPrompts: 3,
  systemTokens: 4096,
  turnsMean: 11,
  sessionGapMs: 10_000,
  thinkMeanMs: 30_000,
  messageTokens: 2500,
  answerTokens: 250,
});

function conversations(spec: Conversations): Generator {
  return {
    ratePerS: (1000 * spec.turnsMean) / spec.sessionGapMs,
    generate: (seed, requestCount) => {
      const content = new Random(seed);
      const arrivals = arrivalChance(seed);
      const numbering = new BlockNumbering();
      const systems = Array.from({ length: spec.systemPrompts }, () => numbering.run(fullBlocks(spec.systemTokens)));
      const arrived: WorkloadRequest[] = [];
      let coming: WorkloadRequest[] = [];
      let startMs = 0;
      for (let session = 0; arrived.length < requestCount; session++) {
        startMs += arrivals.exponential(spec.sessionGapMs);
        // No session that starts later adds a request before `startMs`.
        arrived.push(...coming.filter(({ arrivalMs }) => arrivalMs < startMs));
        coming = coming.filter(({ arrivalMs }) => arrivalMs >= startMs);
        let arrivalMs = startMs;
        for (const turn of drawTurns(spec, pick(systems, content), numbering, content)) {
          coming.push({ arrivalMs, session, ...turn });
          arrivalMs += arrivals.exponential(spec.thinkMeanMs);
        }
        coming.sort((a, b) => a.arrivalMs - b.arrivalMs);
      }
      return generated(numbering, arrived.slice(0, requestCount));
    },
  };
}

function drawTurns(spec: Conversations, system: Int32Array, numbering: BlockNumbering, random: Random): Shape[] {
  const turns = 1 + geometric(random, 1 / (spec.turnsMean - 1));
  const lengths: { readonly isl: number; readonly osl: number }[] = [];
  let historyTokens = spec.systemTokens;
  for (let turn = 0; turn < turns; turn++) {
    const isl = historyTokens + drawLength(random, spec.messageTokens);
    const osl = drawLength(random, spec.answerTokens);
    if (isl + osl > contextTokensMax) break;
    lengths.push({ isl, osl });
    historyTokens = isl + osl;
  }
  const sessionIds = numbering.extend(system, fullBlocks(lengths.at(-1)?.isl ?? 0));
  return lengths.map((turn) => ({ ...turn, blockIds: sessionIds.subarray(0, fullBlocks(turn.isl)) }));
}
