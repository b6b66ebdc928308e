// Prompt tokens of each request that an infinite shared cache would hold: an upper limit for every router.

import type { Workload } from '../trace/workload.ts';

/**
 * Tokens by request, in whole engine blocks. Less than the prompt, since an engine always computes one token. O(content
 * blocks)
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
