// What became of an attempt, as it crosses between a front and the owner.

import { errorOf, sentError } from '../exchange/sent-error.ts';
import type { RelayOutcome } from '../inference/attempt-outcome.ts';
import type { SentOutcome } from './front-messages.ts';

export function sentOutcome(outcome: RelayOutcome): SentOutcome {
  return 'error' in outcome ? { ...outcome, error: sentError(outcome.error) } : outcome;
}

export function outcomeOf(outcome: SentOutcome): RelayOutcome {
  return 'error' in outcome ? { ...outcome, error: errorOf(outcome.error) } : outcome;
}
