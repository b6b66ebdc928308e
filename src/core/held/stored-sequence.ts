// Sequence hashes of the blocks of a stored event, from its tokens and what distinguishes them besides tokens.

import type { BlockHasher } from '../blocks/block-hash.ts';
import type { BlocksStored } from '../types.ts';

/**
 * Of the complete blocks, two words each.
 * @param parent sequence hash of the block before the first; null: the first block begins a prompt
 */
export function sequenceOf(hasher: BlockHasher, event: BlocksStored, parent: Uint32Array | null): Uint32Array {
  const { tokens, blockSize, hashes } = event;
  const full = Math.min(hashes.length / 2, Math.floor(tokens.length / blockSize));
  const above = parent ?? hasher.root(blockSize, event);
  return event.extras ? withExtras(hasher, event, full, above) : hasher.chain(tokens, full, blockSize, above);
}

function withExtras(hasher: BlockHasher, event: BlocksStored, full: number, parent: Uint32Array): Uint32Array {
  const { blockSize, tokens, extras } = event;
  const sequence = new Uint32Array(2 * full);
  let above = parent;
  for (let block = 0; block < full; block++) {
    const extra = extras?.[block];
    if (extra) above = hasher.mix(above, extra);
    above = hasher.chain(tokens.subarray(block * blockSize, (block + 1) * blockSize), 1, blockSize, above);
    sequence.set(above, 2 * block);
  }
  return sequence;
}
