// SGLang's generated-shared-prefix benchmark: groups of prompts behind one system prompt each, all at once.

import { Random } from '../../core/random.ts';
import { BlockNumbering } from '../block-numbering.ts';
import { shuffle, Zipf } from '../distributions.ts';
import type { WorkloadRequest } from '../workload.ts';
import { fullBlocks, type Generator, generated } from './generator.ts';

const systemTokens = 2048;
const isl = systemTokens + 128;
const osl = 256;

/**
 * `groups` x `promptsPerGroup` prompts: 2,048 system + 128 question tokens in, 256 out, shuffled, all at time 0.
 * More requests than prompts repeat the whole corpus, shuffled anew each time.
 * @param zipfExponent where given, each prompt's group is drawn with weight 1 / rank^exponent
 */
export function generatedSharedPrefix(groups: number, promptsPerGroup: number, zipfExponent?: number): Generator {
  const corpusSize = groups * promptsPerGroup;
  return {
    ratePerS: null,
    requestsDefault: corpusSize,
    generate: (seed, requestCount) => {
      const random = new Random(seed);
      const numbering = new BlockNumbering();
      const systems = Array.from({ length: groups }, () => numbering.run(fullBlocks(systemTokens)));
      const corpus = groupsOfPrompts(groups, promptsPerGroup, zipfExponent, random).map((group) =>
        numbering.extend(systems[group]!, fullBlocks(isl)),
      );
      const requests: WorkloadRequest[] = [];
      while (requests.length < requestCount) {
        shuffle(corpus, random);
        for (const blockIds of corpus.slice(0, requestCount - requests.length)) {
          requests.push({ arrivalMs: 0, isl, osl, blockIds });
        }
      }
      return generated(numbering, requests);
    },
  };
}

function groupsOfPrompts(
  groups: number,
  promptsPerGroup: number,
  zipfExponent: number | undefined,
  random: Random,
): number[] {
  const corpusSize = groups * promptsPerGroup;
  if (zipfExponent === undefined) return Array.from({ length: corpusSize }, (_, i) => i % groups);
  const ranks = new Zipf(groups, zipfExponent);
  return Array.from({ length: corpusSize }, () => ranks.draw(random));
}
