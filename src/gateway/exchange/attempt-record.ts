// The record of a request's latest attempt, for the request log.

import type { Decision, FirstToken, Outcome } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';

export interface AttemptRecord {
  readonly worker: string;
  /** Worker name shown to the client. */
  readonly workerClientId: string;
  readonly attempt: number;
  readonly decision: Decision;
  /** Null while in flight. */
  readonly outcome: Outcome | null;
  readonly ttftMs: number | null;
  readonly hindsight: FirstToken | null;
  readonly outputTokens: number | null;
  readonly usage: Usage | null;
  /** Records that a fault of the gateway ended the attempt. */
  broken(error: unknown): void;
}
