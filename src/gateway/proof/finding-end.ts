// Decides from later traffic whether a canary's finding has ended, so that no new canary is needed.

import type { Finding } from '../engines/canary-report.ts';
import type { Worker } from '../engines/engine.ts';

/** Prompts that the worker's events must announce; a single one could be another worker's. */
const matchedMin = 3;

/** Counters of a worker, for a later comparison. */
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

/** @param before the counts when the finding was made @returns false if only another canary can tell */
export function hasEnded({ cause }: Finding, worker: Worker, before: WorkerCounts): boolean {
  const now = countsOf(worker);
  const feed = worker.feed?.status ?? null;
  const isConnected = feed !== null && feed.error === null && feed.publishers > 0;
  // The counter restarts when the worker's blocks are forgotten.
  const matched = now.matchedEvents - (now.matchedEvents < before.matchedEvents ? 0 : before.matchedEvents);
  switch (cause) {
    case 'wrong-endpoint':
      return isConnected;
    case 'no-batches':
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
