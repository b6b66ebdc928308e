// Synthetic workloads of prompts with a shared prefix and a unique question.

import type { Random } from '../../core/random.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { lognormal, normal, uniformInteger, Zipf } from '../distributions.ts';
import { fullBlocks, type Generator, pick, poissonWorkload, unitRatePerS, wholeTokens } from './generator.ts';

interface SharedPrefixes {
  readonly prefixes: number;
  readonly prefixTokens: number;
  /** A prefix has weight 1 / rank^exponent. 0: uniform. */
  readonly zipfExponent: number;
  ownTokens(random: Random): number;
  osl(random: Random): number;
}

function sharedPrefixes(spec: SharedPrefixes): Generator {
  const { prefixes, prefixTokens, zipfExponent, ownTokens, osl } = spec;
  return {
    ratePerS: unitRatePerS,
    generate: (seed, requestCount) => {
      const numbering = new BlockNumbering();
      const prefixIds = Array.from({ length: prefixes }, () => numbering.run(fullBlocks(prefixTokens)));
      const ranks = new Zipf(prefixes, zipfExponent);
      return poissonWorkload(seed, requestCount, numbering, (random) => () => {
        const blockIds = prefixIds[ranks.draw(random)]!;
        return { blockIds, isl: prefixTokens + ownTokens(random), osl: osl(random) };
      });
    },
  };
}

const pr1731 = { prefixes: 10, prefixTokens: 3500, zipfExponent: 0, ownTokens: () => 3500, osl: () => 100 };

/** Dynamo's PR #1731: ISL 7,000, of which one of 10 prefixes of 3,500 tokens, drawn uniformly; OSL 100; Poisson. */
export const pr1731FixedWorkload: Generator = sharedPrefixes(pr1731);

/** The same with ISL from N(7,000, 2,000). The unique part is ISL - prefix, at least 64 tokens. */
export const pr1731IslWorkload: Generator = sharedPrefixes({
  ...pr1731,
  ownTokens: (random) => wholeTokens(normal(random, 7000, 2000) - 3500, 64),
});

/** The same with OSL from N(200, 120), at least 2 tokens. */
export const pr1731OslWorkload: Generator = sharedPrefixes({
  ...pr1731,
  osl: (random) => wholeTokens(normal(random, 200, 120), 2),
});

/**
 * 500 prefixes of 4,096 tokens, weight 1 / rank^1.1; 512 unique tokens; OSL lognormal(ln 150 - 0.5, 1), mean 150;
 * Poisson.
 */
export const zipfWorkload: Generator = sharedPrefixes({
  prefixes: 500,
  prefixTokens: 4096,
  zipfExponent: 1.1,
  ownTokens: () => 512,
  osl: (random) => wholeTokens(lognormal(random, Math.log(150) - 0.5, 1)),
});

/**
 * Classification: 12 instructions of 1,500 tokens, drawn uniformly; lognormal(ln 400 - 0.18, 0.6) tokens of text; OSL 1
 * to 4; Poisson.
 */
export const classificationWorkload: Generator = sharedPrefixes({
  prefixes: 12,
  prefixTokens: 1500,
  zipfExponent: 0,
  ownTokens: (random) => wholeTokens(lognormal(random, Math.log(400) - 0.18, 0.6)),
  osl: (random) => uniformInteger(random, 1, 4),
});

/**
 * 100 prefixes of 2,000 tokens, weight 1 / rank^0.8; lognormal(ln 500 - 0.3, 0.8) own tokens; OSL 8 to 24 (70 %) or
 * lognormal(ln 1,200 - 0.3, 0.8); Poisson.
 */
export const mixedOutputsWorkload: Generator = sharedPrefixes({
  prefixes: 100,
  prefixTokens: 2000,
  zipfExponent: 0.8,
  ownTokens: (random) => wholeTokens(lognormal(random, Math.log(500) - 0.3, 0.8)),
  osl: (random) =>
    random.float() < 0.7 ? uniformInteger(random, 8, 24) : wholeTokens(lognormal(random, Math.log(1200) - 0.3, 0.8)),
});

/**
 * llm-d's 150 tenants x 5 prompts: system 6,000 + question 1,200 tokens; each request is one of these 750 prompts,
 * drawn uniformly with replacement; Poisson.
 * @param osl 250 in our study, 1,000 as published
 */
export function backToBack(osl: number): Generator {
  const groups = 150;
  const promptsPerGroup = 5;
  const systemTokens = 6000;
  const isl = systemTokens + 1200;
  return {
    ratePerS: unitRatePerS,
    generate: (seed, requestCount) => {
      const numbering = new BlockNumbering();
      const corpus: Int32Array[] = [];
      for (let group = 0; group < groups; group++) {
        const system = numbering.run(fullBlocks(systemTokens));
        for (let i = 0; i < promptsPerGroup; i++) corpus.push(numbering.extend(system, fullBlocks(isl)));
      }
      return poissonWorkload(seed, requestCount, numbering, (random) => () => ({
        blockIds: pick(corpus, random),
        isl,
        osl,
      }));
    },
  };
}
