// The latest decisions, newest first, in a list of bounded length that never changes once it is shown.

import type { DecisionBatch, DecisionShort } from '../data.ts';

/** More would not be looked through by hand; the gateway's log has them. */
export const decisionsMax = 1000;

export interface DecisionFeed {
  /** Newest first, at most `decisionsMax`. */
  readonly rows: readonly DecisionShort[];
  /** Decisions a second, and the share of them that is shown. */
  readonly perS: number;
  readonly shownShare: number;
}

export const noDecisions: DecisionFeed = { rows: [], perS: 0, shownShare: 1 };

/** Adds rows, and replaces those that come again because more is known. O(rows + new) */
export function addDecisions(feed: DecisionFeed, batch: DecisionBatch): DecisionFeed {
  const { decisions, leftOut, perS } = batch;
  const fresh = new Map(decisions.map((decision) => [decision.seq, decision]));
  const rows: DecisionShort[] = [];
  for (const row of feed.rows) {
    const again = fresh.get(row.seq);
    rows.push(again ?? row);
    if (again !== undefined) fresh.delete(row.seq);
  }
  const added = [...fresh.values()];
  rows.push(...added);
  if (added.length > 0) rows.sort((a, b) => b.seq - a.seq);
  if (rows.length > decisionsMax) rows.length = decisionsMax;
  const share = added.length + leftOut === 0 ? feed.shownShare : added.length / (added.length + leftOut);
  // Smoothed, since a batch is a quarter of a second.
  return { rows, perS, shownShare: leftOut === 0 && share === 1 ? 1 : 0.8 * feed.shownShare + 0.2 * share };
}
