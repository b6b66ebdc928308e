// Synthetic workloads that vary in length and share little or nothing.

import type { Random } from '../../core/random.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { lognormal } from '../distributions.ts';
import { noBlocks } from '../workload.ts';
import { fullBlocks, type Generator, poissonWorkload, type Shape, unitRatePerS, wholeTokens } from './generator.ts';

/**
 * ISL 250 shared + lognormal(ln 1,000 - 0.125, 0.5), OSL lognormal(ln 2,500 - 0.32, 0.8), at most 16,000; Poisson.
 * Decoding is the bottleneck.
 */
export const reasoningWorkload: Generator = {
  ratePerS: unitRatePerS,
  generate: (seed, requestCount) => {
    const sharedTokens = 250;
    const numbering = new BlockNumbering();
    const blockIds = numbering.run(fullBlocks(sharedTokens));
    return poissonWorkload(seed, requestCount, numbering, (random) => () => ({
      blockIds,
      isl: sharedTokens + wholeTokens(lognormal(random, Math.log(1000) - 0.125, 0.5)),
      osl: Math.min(16_000, wholeTokens(lognormal(random, Math.log(2500) - 0.32, 0.8))),
    }));
  },
};

/** 5 %: ISL 50,000, OSL 200; 95 %: ISL 512, OSL 128; nothing shared; Poisson. */
export const elephantsMiceWorkload: Generator = nothingShared((random) =>
  random.float() < 0.05 ? { isl: 50_000, osl: 200 } : { isl: 512, osl: 128 },
);

/** ISL lognormal(ln 2,000 - 0.5, 1), OSL 200; nothing shared; Poisson. */
export const prefixFreeWorkload: Generator = nothingShared((random) => ({
  isl: wholeTokens(lognormal(random, Math.log(2000) - 0.5, 1)),
  osl: 200,
}));

function nothingShared(lengths: (random: Random) => Pick<Shape, 'isl' | 'osl'>): Generator {
  return {
    ratePerS: unitRatePerS,
    generate: (seed, requestCount) =>
      poissonWorkload(seed, requestCount, new BlockNumbering(), (random) => () => ({
        ...lengths(random),
        blockIds: noBlocks,
      })),
  };
}
