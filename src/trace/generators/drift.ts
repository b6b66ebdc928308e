// Prefixes with changing popularity: each is popular, then rare, then gone.

import { BlockNumbering } from '../block-numbering.ts';
import { lognormal, Zipf } from '../distributions.ts';
import { fullBlocks, type Generator, poissonWorkload, unitRatePerS, wholeTokens } from './generator.ts';

const prefixTokens = 4096;
/** Prefixes in use at a time. */
const liveCount = 60;
/** Requests after which the oldest prefix is replaced by a new one. */
const requestsPerPrefix = 12;

/**
 * 60 prefixes of 4,096 tokens with weights 1 / rank. Every 12 requests the prefix at the last rank is replaced by a new
 * one, which enters at rank 1 and moves down one rank per later newcomer: each is popular, then rare, then gone. 400
 * unique tokens on average, lognormal(ln 400 - 0.3, 0.8); OSL lognormal(ln 150 - 0.5, 1); Poisson.
 */
export const driftWorkload: Generator = {
  ratePerS: unitRatePerS,
  generate: (seed, requestCount) => {
    const numbering = new BlockNumbering();
    const newPrefix = (): Int32Array => numbering.run(fullBlocks(prefixTokens));
    const live = Array.from({ length: liveCount }, newPrefix);
    const ranks = new Zipf(liveCount, 1);
    let drawn = 0;
    return poissonWorkload(seed, requestCount, numbering, (random) => () => {
      if (drawn++ % requestsPerPrefix === requestsPerPrefix - 1) {
        live.pop();
        live.unshift(newPrefix());
      }
      return {
        blockIds: live[ranks.draw(random)]!,
        isl: prefixTokens + wholeTokens(lognormal(random, Math.log(400) - 0.3, 0.8)),
        osl: wholeTokens(lognormal(random, Math.log(150) - 0.5, 1)),
      };
    });
  },
};
