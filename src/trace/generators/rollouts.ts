// Rollouts of reinforcement learning: several answers to one prompt, requested at the same time.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { lognormal } from '../distributions.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fullBlocks, type Generator, generated, pick, unitRatePerS, wholeTokens } from './generator.ts';

const groupSizes: readonly number[] = [4, 8, 16];
const groupSizeMean = 28 / 3;
const systemTokens = 512;
const answerTokensMax = 8000;

/**
 * Groups of 4, 8 or 16 requests with the same whole prompt and the same arrival; Poisson arrivals of groups. Prompts:
 * 512 shared tokens and lognormal(ln 3,000 - 0.18, 0.6) own ones of the group. OSL of each request
 * lognormal(ln 600 - 0.32, 0.8), at most 8,000.
 */
export const rolloutsWorkload: Generator = {
  ratePerS: unitRatePerS,
  generate: (seed, requestCount) => {
    const content = new Random(seed);
    const arrivals = arrivalChance(seed);
    const numbering = new BlockNumbering();
    const system = numbering.run(fullBlocks(systemTokens));
    const requests: WorkloadRequest[] = [];
    let arrivalMs = 0;
    while (requests.length < requestCount) {
      arrivalMs += arrivals.exponential((1000 * groupSizeMean) / unitRatePerS);
      const isl = systemTokens + wholeTokens(lognormal(content, Math.log(3000) - 0.18, 0.6));
      const blockIds = numbering.extend(system, fullBlocks(isl));
      const size = Math.min(pick(groupSizes, content), requestCount - requests.length);
      for (let i = 0; i < size; i++) {
        const osl = Math.min(answerTokensMax, wholeTokens(lognormal(content, Math.log(600) - 0.32, 0.8)));
        requests.push({ arrivalMs, isl, osl, blockIds });
      }
    }
    return generated(numbering, requests);
  },
};
