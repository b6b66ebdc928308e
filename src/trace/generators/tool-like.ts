// Synthetic substitute for Mooncake's tool and agent trace: two long common prefixes, and chat with a short one.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { poissonArrivalsMs } from '../arrivals.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { lognormal, normal, uniformInteger } from '../distributions.ts';
import { type Generator, generated, pick, type Shape, wholeTokens } from './generator.ts';

const blockTokens = 512;
const ratePerS = 6.7;
const chatsRemembered = 400;
const freshChatTokensMax = 100_000;
const promptTokensMax = 120_000;

/**
 * Blocks of 512, Poisson at 6.7 requests a second.
 * - 42 %: 12 common blocks, ISL 6,144 + min(lognormal(5.6, 1.1), 20,000), OSL 3 (55 %) or 20 .. 54;
 * - 17 %: 5 common blocks, ISL 2,560 + 400 .. 799, OSL 14 .. 25;
 * - 41 %: chat behind 1 common block; 55 % of it continues one of the last 400 chat prompts by lognormal(6.6, 0.9)
 *   tokens, the rest is new: lognormal(8.55, 1.15), at most 100,000. ISL at most 120,000, OSL from N(400, 150).
 */
export const toolLikeWorkload: Generator = {
  ratePerS,
  note: 'about 0.7 of all prompt tokens are shared, more than the published 0.59 of the trace it stands in for',
  generate: (seed, requestCount) => {
    const content = new Random(seed);
    const arrivals = arrivalChance(seed);
    const numbering = new BlockNumbering();
    const tools = numbering.run(12);
    const shortTools = numbering.run(5);
    const chats = new Chats(numbering);
    const nextShape = (): Shape => {
      const kind = content.float();
      if (kind < 0.42) return toolCall(tools, content);
      if (kind < 0.42 + 0.17) return shortToolCall(shortTools, content);
      return chats.next(content);
    };
    const arrivalsMs = poissonArrivalsMs(requestCount, ratePerS, arrivals);
    const requests = Array.from(arrivalsMs, (arrivalMs) => ({ arrivalMs, ...nextShape() }));
    return generated(numbering, requests, blockTokens);
  },
};

function toolCall(common: Int32Array, random: Random): Shape {
  const ownTokens = Math.min(wholeTokens(lognormal(random, 5.6, 1.1)), 20_000);
  const osl = random.float() < 0.55 ? 3 : uniformInteger(random, 20, 54);
  return { blockIds: common, isl: common.length * blockTokens + ownTokens, osl };
}

function shortToolCall(common: Int32Array, random: Random): Shape {
  const isl = common.length * blockTokens + uniformInteger(random, 400, 799);
  return { blockIds: common, isl, osl: uniformInteger(random, 14, 25) };
}

class Chats {
  readonly #numbering: BlockNumbering;
  readonly #common: Int32Array;
  /** Ring buffer of the last prompts. */
  readonly #remembered: { readonly isl: number; readonly blockIds: Int32Array }[] = [];
  #count = 0;

  constructor(numbering: BlockNumbering) {
    this.#numbering = numbering;
    this.#common = numbering.run(1);
  }

  next(random: Random): Shape {
    const continues = this.#remembered.length > 0 && random.float() < 0.55;
    const prompt = continues ? this.#continued(random) : this.#fresh(random);
    this.#remembered[this.#count++ % chatsRemembered] = prompt;
    return { ...prompt, osl: wholeTokens(normal(random, 400, 150)) };
  }

  #continued(random: Random): { isl: number; blockIds: Int32Array } {
    const before = pick(this.#remembered, random);
    const isl = Math.min(before.isl + wholeTokens(lognormal(random, 6.6, 0.9)), promptTokensMax);
    return { isl, blockIds: this.#numbering.extend(before.blockIds, Math.floor(isl / blockTokens)) };
  }

  #fresh(random: Random): { isl: number; blockIds: Int32Array } {
    const drawn = Math.min(wholeTokens(lognormal(random, 8.55, 1.15)), freshChatTokensMax);
    const isl = Math.max(drawn, this.#common.length * blockTokens);
    return { isl, blockIds: this.#numbering.extend(this.#common, Math.floor(isl / blockTokens)) };
  }
}
