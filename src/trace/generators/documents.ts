// Questions about long documents: several per reader, and some documents with many readers.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { geometric, lognormal, uniformInteger } from '../distributions.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fullBlocks, type Generator, generated, unitRatePerS, wholeTokens } from './generator.ts';

const systemTokens = 800;
const documentTokensMax = 60_000;
const questionsMean = 5;
const pauseMeanMs = 20_000;
const libraryShare = 0.3;
const libraryCount = 20;

interface Document {
  readonly tokens: number;
  readonly blockIds: Int32Array;
}

/**
 * A reader asks 1 + Geometric(1/4) questions (mean 5) about one document, exponential pauses of mean 20 s between them,
 * open loop; Poisson arrivals of readers. Prompt: 800 shared tokens, the document, lognormal(ln 16,000 - 0.25, 0.7)
 * tokens and at most 60,000, and a question of 40 to 200. 30 % of the readers take one of 20 documents of a library, the
 * others bring their own. OSL lognormal(ln 200 - 0.3, 0.8).
 */
export const documentsWorkload: Generator = {
  ratePerS: unitRatePerS,
  generate: (seed, requestCount) => {
    const content = new Random(seed);
    const arrivals = arrivalChance(seed);
    const numbering = new BlockNumbering();
    const system = numbering.run(fullBlocks(systemTokens));
    const draw = (): Document => {
      const drawn = wholeTokens(lognormal(content, Math.log(16_000) - 0.25, 0.7));
      const tokens = systemTokens + Math.min(documentTokensMax, drawn);
      return { tokens, blockIds: numbering.extend(system, fullBlocks(tokens)) };
    };
    const library = Array.from({ length: libraryCount }, draw);
    const arrived: WorkloadRequest[] = [];
    let coming: WorkloadRequest[] = [];
    let startMs = 0;
    for (let session = 0; arrived.length < requestCount; session++) {
      startMs += arrivals.exponential((1000 * questionsMean) / unitRatePerS);
      // No reader who starts later asks before `startMs`.
      arrived.push(...coming.filter(({ arrivalMs }) => arrivalMs < startMs));
      coming = coming.filter(({ arrivalMs }) => arrivalMs >= startMs);
      const { tokens, blockIds } = content.float() < libraryShare ? library[content.below(libraryCount)]! : draw();
      const questions = 1 + geometric(content, 1 / (questionsMean - 1));
      let arrivalMs = startMs;
      for (let i = 0; i < questions; i++) {
        const isl = tokens + uniformInteger(content, 40, 200);
        const osl = wholeTokens(lognormal(content, Math.log(200) - 0.3, 0.8));
        coming.push({ arrivalMs, session, isl, osl, blockIds });
        arrivalMs += arrivals.exponential(pauseMeanMs);
      }
      coming.sort((a, b) => a.arrivalMs - b.arrivalMs);
    }
    return generated(numbering, arrived.slice(0, requestCount));
  },
};
