// Chooses the block size at which an engine's blocks are indexed, from the block size of its events.

/** Engine blocks of at least this size are indexed unchanged. */
const ownBlockTokensMin = 4;
/** Smaller ones are merged into blocks of at least this size. */
const coarseBlockTokensMin = 16;

/**
 * @param pageSize tokens per block in the engine's events
 * @param set the operator's setting, or null
 * @returns null if the setting is not a multiple of `pageSize`: then blocks can't be derived from the events
 */
export function routingBlockSize(pageSize: number, set: number | null): number | null {
  if (set !== null) return set % pageSize === 0 ? set : null;
  return pageSize >= ownBlockTokensMin ? pageSize : Math.ceil(coarseBlockTokensMin / pageSize) * pageSize;
}
