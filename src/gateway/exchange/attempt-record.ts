// The record of a request's latest attempt, for the request log and the trace.

import type { Decision, FirstToken, Outcome } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';

export interface AttemptRecord {
  /** As the engine lists it. */
  readonly model: string;
  readonly pool: string;
  /** Null: the client named the model itself. */
  readonly route: { readonly way: string } | null;
  readonly worker: string;
  /** Worker name shown to the client. */
  readonly workerClientId: string;
  readonly attempt: number;
  readonly decision: Decision;
  /** Tokens that the client had of the answer when this attempt went on with it; null: it began the answer. */
  readonly continuedTokens: number | null;
  /** How much was known of its prompts: `tokens`, or less. */
  readonly known: string;
  /** Null while in flight. */
  readonly outcome: Outcome | null;
  /** Null: no answer has begun. */
  readonly status: number | null;
  /** Why it failed; null if it did not. */
  readonly error: string | null;
  /** From the arrival of the request. */
  readonly ttftMs: number | null;
  readonly hindsight: FirstToken | null;
  readonly outputTokens: number | null;
  readonly usage: Usage | null;
  /** Where the prediction of cached tokens was wrong; null if it was not checked. */
  readonly account: { readonly indexMissTokens: number; readonly promiseMissTokens: number } | null;
  /** Records that a fault of the gateway ended the attempt. */
  broken(error: unknown): void;
}
