// The blocks by which a policy with a view of its own knows a request: those of its first prompt, as fine as they come.

import type { PolicyRequest } from '../choice/policy.ts';
import type { BlockHashes } from '../types.ts';

/**
 * At the smallest block size of the pool. Several prompts of one request go to one worker, so its first one stands for
 * all. Undefined: there is no prompt, or it fills no block.
 */
export function finestHashes(request: PolicyRequest): BlockHashes | undefined {
  let finest: BlockHashes | undefined;
  for (const hashes of request.prompts[0]?.hashes ?? []) {
    if (!finest || hashes.blockSize < finest.blockSize) finest = hashes;
  }
  return finest && finest.count > 0 ? finest : undefined;
}
