// What an attempt tells the owner of its booking, and asks of it: the seam between an answer's bytes and the ledger.
//
// The owner need not be in the same process, so what crosses is small, and nothing waits for an answer.

import type { UsageReading } from '../../wire/completion-chunk.ts';
import type { AttemptFailure, RelayOutcome } from './attempt-outcome.ts';

/** How an attempt ended, and what its answer said. */
export interface AttemptEnd {
  readonly outcome: RelayOutcome;
  /** 0: no answer has begun. */
  readonly status: number;
  /** The error that the engine reported in its stream; null: none. */
  readonly streamError: string | null;
  /** Counted in the stream; null: the answer came in one piece. */
  readonly outputTokens: number | null;
  readonly usage: UsageReading;
  /** Id under which the engine may keep the response; null: it told none. */
  readonly responseId: string | null;
}

/**
 * A reason why an answer is not observed further. `compressed`: the engine compresses its stream. `cut`: an event is
 * longer than the limit, so the stream is broken off. `usage-unread`: the memory for it is used up.
 */
export type Unobserved =
  | { readonly kind: 'compressed' }
  | { readonly kind: 'cut' | 'usage-unread'; readonly limit: string; readonly message: string };

export interface AttemptReport {
  /** Whether another engine is likely to be faster, given that this one has sent nothing for `silenceMs`. */
  mayMove(silenceMs: number): boolean;
  /** Whether to try another engine instead; asked at most once. */
  mayGiveUp(failure: AttemptFailure): boolean;
  /** @param nowMs their arrival */
  tokens(choice: number, count: number, nowMs: number): void;
  /** The engine's own count, for requests with a single choice. */
  totalTokens(count: number): void;
  unobserved(why: Unobserved): void;
  /** Called once, unless a fault of the gateway ended the attempt. */
  settled(end: AttemptEnd): void;
}
