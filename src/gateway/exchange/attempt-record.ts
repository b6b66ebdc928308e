// What is known of the newest attempt of a request, as the log tells it.

import type { Decision, Outcome } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';

export interface AttemptRecord {
  readonly worker: string;
  /** What the client was told instead. */
  readonly workerClientId: string;
  readonly attempt: number;
  readonly decision: Decision;
  /** Null: under way. */
  readonly outcome: Outcome | null;
  readonly ttftMs: number | null;
  readonly outputTokens: number | null;
  readonly usage: Usage | null;
  /** A fault of the gateway has ended the attempt. */
  broken(error: unknown): void;
}
