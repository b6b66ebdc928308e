// Tells of findings of a canary which are no longer so, from what has happened since: no canary need be sent for that.

import type { Finding } from '../engines/canary-report.ts';
import type { Worker } from '../engines/engine.ts';

/** Prompts that the worker's events told of: one alone may be another worker's. */
const matchedMin = 3;

/** What is counted of a worker, to be compared later. */
export interface WorkerCounts {
  readonly batches: number;
  readonly matchedEvents: number;
  readonly cachedTokens: number;
}

export function countsOf({ feed, membership, account }: Worker): WorkerCounts {
  return {
    batches: feed?.status.batches ?? 0,
    matchedEvents: membership?.router.matchedEvents(membership.index) ?? 0,
    cachedTokens: account.tokens.cachedTokens,
  };
}

/** @param before the counts when the finding was made @returns false where only another canary can tell */
export function hasEnded({ cause }: Finding, worker: Worker, before: WorkerCounts): boolean {
  const now = countsOf(worker);
  const feed = worker.feed?.status ?? null;
  const isConnected = feed !== null && feed.error === null && feed.publishers > 0;
  // They count anew when its blocks are forgotten.
  const matched = now.matchedEvents - (now.matchedEvents < before.matchedEvents ? 0 : before.matchedEvents);
  switch (cause) {
    case 'wrong-endpoint':
      return isConnected;
    case 'events-silent':
      return isConnected && now.batches > before.batches;
    case 'events-unmatched':
    case 'foreign-events':
    case 'lora-or-salt':
      return isConnected && matched >= matchedMin;
    case 'prefix-caching-off':
      return now.cachedTokens > before.cachedTokens;
    default:
      return false;
  }
}
