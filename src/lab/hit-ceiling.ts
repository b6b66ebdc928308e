// How many tokens of each prompt any router could have found in some cache: those that an earlier arrival had.

import type { Workload } from '../trace/workload.ts';

/**
 * By request, in whole engine blocks and less than the prompt, since an engine always computes one token. From one cache
 * without a limit that all workers share. O(content blocks)
 */
export function infiniteCacheTokens(workload: Workload, blockSize: number): Float64Array {
  const { requests, contentBlockTokens, blockIdCount } = workload;
  const seen = new Uint8Array(blockIdCount);
  return Float64Array.from(requests, ({ isl, blockIds }) => {
    let known = 0;
    while (known < blockIds.length && seen[blockIds[known]!] === 1) known++;
    for (let at = known; at < blockIds.length; at++) seen[blockIds[at]!] = 1;
    const tokens = Math.min(known * contentBlockTokens, isl - 1);
    return tokens - (tokens % blockSize);
  });
}
