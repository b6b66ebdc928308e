// How an attempt at an engine ended.

import type { UpstreamFailure } from '../engines/upstream.ts';

/**
 * Why an attempt got no answer. `cut`: the connection ended before the first token. `silent`: the engine is dead; it
 * sent nothing and /health failed. `stalled`: it is alive, but another engine is likely to be faster. `full`: it
 * refused the request as overloaded. `absent`: it does not hold the response that the request continues. `refused`: it
 * does not go on with another engine's answer. `error`: it reported a failure. The rest are failures of the connection.
 */
export type AttemptFailure = UpstreamFailure | 'cut' | 'silent' | 'stalled' | 'full' | 'absent' | 'refused' | 'error';

/** How an attempt ended. */
export type RelayOutcome =
  /** The client has the engine's whole answer. */
  | { readonly kind: 'answered'; readonly status: number }
  /**
   * The client has seen nothing of this engine, so another may be tried. `innocent`: the engine was already failing
   * when it got the request.
   */
  | { readonly kind: 'unanswered'; readonly failure: AttemptFailure; readonly error: Error; readonly innocent: boolean }
  /** The engine's stream ended early; the client does not know it, and another engine may go on. */
  | {
      readonly kind: 'interrupted';
      readonly status: number;
      readonly failure: AttemptFailure;
      readonly error: Error;
      /** Tokens of this engine that the client has as text. */
      readonly tokens: number;
    }
  /** The engine's answer ended early; the client has been told. */
  | { readonly kind: 'cut'; readonly status: number; readonly error: Error }
  | { readonly kind: 'gone' };

/** Why an attempt failed, for its record; null if it did not. */
export function faultOf(outcome: RelayOutcome): string | null {
  switch (outcome.kind) {
    case 'answered':
      return outcome.status >= 400 ? `the engine answered with status ${outcome.status}` : null;
    case 'unanswered':
    case 'interrupted':
    case 'cut':
      return outcome.error.message;
    case 'gone':
      return 'the client went away';
  }
}
