// At which block size the blocks of an engine are indexed, by the size that its events have.

/** An engine's own blocks are indexed as they are from this size up. */
const ownBlockTokensMin = 4;
/** Smaller ones are indexed as blocks of at least so many tokens. */
const coarseBlockTokensMin = 16;

/**
 * @param pageSize tokens of a block in the engine's events
 * @param set what the operator wants, or null
 * @returns null if the setting is not a multiple of the page: then no block can be told from the events
 */
export function routingBlockSize(pageSize: number, set: number | null): number | null {
  if (set !== null) return set % pageSize === 0 ? set : null;
  return pageSize >= ownBlockTokensMin ? pageSize : Math.ceil(coarseBlockTokensMin / pageSize) * pageSize;
}
