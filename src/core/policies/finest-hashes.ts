// Block hashes that identify a request for policies with their own cache view: its first prompt, at the smallest block
// size.

import type { PolicyRequest } from '../choice/policy.ts';
import type { BlockHashes } from '../types.ts';

/**
 * All prompts of a request go to one worker, so the first one stands for all. Undefined if there is no prompt or it
 * fills no block.
 */
export function finestHashes(request: PolicyRequest): BlockHashes | undefined {
  let finest: BlockHashes | undefined;
  for (const hashes of request.prompts[0]?.hashes ?? []) {
    if (!finest || hashes.blockSize < finest.blockSize) finest = hashes;
  }
  return finest && finest.count > 0 ? finest : undefined;
}
