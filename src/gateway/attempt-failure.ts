// What follows from an attempt that an engine did not answer: the engine is suspected, the client hears of it at the end.

import { RequestError } from '../wire/openai-error.ts';
import type { Engine } from './engine.ts';
import type { GatewayContext } from './gateway-context.ts';
import type { RelayOutcome } from './relay.ts';

export type Unanswered = Extract<RelayOutcome, { kind: 'unanswered' }>;

/** Engines that one request may be sent to before the gateway gives up. */
export const attemptsMax = 16;

/** @returns the error that the client gets if no further engine is tried. */
export function noteFailure(
  { monitors, metrics, log }: GatewayContext,
  engine: Engine,
  outcome: Unanswered,
): RequestError {
  const { failure, error } = outcome;
  metrics.unansweredAttempts.inc({ failure });
  log.debug({ engine: engine.url, failure, reason: error.message }, 'engine did not answer');
  if (failure === 'unreachable') {
    const refused = (error as { code?: string }).code === 'ECONNREFUSED';
    monitors.get(engine)?.suspect(error.message, refused);
    return new RequestError(502, 'upstream_unreachable', 'no engine could be reached');
  }
  return new RequestError(502, 'upstream_failed', 'the engine broke the connection before it answered');
}
