// Agents with shared tools and long contexts of their own, mixed with chat.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { lognormal, uniformInteger } from '../distributions.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fullBlocks, type Generator, generated, pick, type Shape, unitRatePerS, wholeTokens } from './generator.ts';

const agentCount = 24;
const toolTokens = 18_000;
const ownTokensMin = 30_000;
const ownTokensMax = 78_000;
/** Share of the requests that are steps of an agent. */
const agentShare = 0.4;

const chatSystems = 8;
const chatSystemTokens = 1024;

/**
 * 40 % steps of 24 agents, 60 % chat, Poisson.
 * - An agent's prompt is 18,000 tokens of tools that all agents share, then its own context: at first 30,000 to 78,000
 *   tokens, and 300 to 2,500 more with each step. An agent beyond 78,000 starts again with 30,000. The next step comes
 *   from any agent, so 24 agent steps lie between two of one agent on average. OSL lognormal(ln 120 - 0.3, 0.8).
 * - Chat: one of 8 system prompts of 1,024 tokens and lognormal(ln 600 - 0.3, 0.8) own ones; OSL
 *   lognormal(ln 250 - 0.3, 0.8).
 */
export const agentsWorkload: Generator = {
  ratePerS: unitRatePerS,
  generate: (seed, requestCount) => {
    const content = new Random(seed);
    const arrivals = arrivalChance(seed);
    const numbering = new BlockNumbering();
    const tools = numbering.run(fullBlocks(toolTokens));
    const systems = Array.from({ length: chatSystems }, () => numbering.run(fullBlocks(chatSystemTokens)));
    const agents = Array.from({ length: agentCount }, () => new Agent(tools, numbering, content));
    const requests: WorkloadRequest[] = [];
    let arrivalMs = 0;
    while (requests.length < requestCount) {
      arrivalMs += arrivals.exponential(1000 / unitRatePerS);
      const shape = content.float() < agentShare ? pick(agents, content).step() : chat(pick(systems, content), content);
      requests.push({ arrivalMs, ...shape });
    }
    return generated(numbering, requests);
  },
};

class Agent {
  readonly #tools: Int32Array;
  readonly #numbering: BlockNumbering;
  readonly #random: Random;
  #ownTokens: number;
  #blockIds: Int32Array;

  constructor(tools: Int32Array, numbering: BlockNumbering, random: Random) {
    this.#tools = tools;
    this.#numbering = numbering;
    this.#random = random;
    this.#blockIds = tools;
    this.#ownTokens = uniformInteger(random, ownTokensMin, ownTokensMax);
  }

  /** The prompt of the next step. Later prompts extend it. */
  step(): Shape {
    this.#ownTokens += uniformInteger(this.#random, 300, 2500);
    if (this.#ownTokens > ownTokensMax) {
      this.#ownTokens = ownTokensMin;
      this.#blockIds = this.#tools;
    }
    const isl = toolTokens + this.#ownTokens;
    this.#blockIds = this.#numbering.extend(this.#blockIds, fullBlocks(isl));
    return { isl, osl: drawLength(this.#random, 120), blockIds: this.#blockIds };
  }
}

function chat(system: Int32Array, random: Random): Shape {
  return { isl: chatSystemTokens + drawLength(random, 600), osl: drawLength(random, 250), blockIds: system };
}

/** A length with about the mean `scale`. */
function drawLength(random: Random, scale: number): number {
  return wholeTokens(lognormal(random, Math.log(scale) - 0.3, 0.8));
}
