// The consequences of a failed attempt: engine health, further attempts, and the client's error.

import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { RelayOutcome } from './attempt-outcome.ts';
import { fullRetryAfterS } from './client-answer.ts';
import type { InferenceContext } from './inference-context.ts';

export type Unanswered = Extract<RelayOutcome, { kind: 'unanswered' }>;

/** Attempts per request. */
export const attemptsMax = 16;
/** A request is not retried after this many engines died while serving it: it may be what kills them. */
const deathsMax = 2;
/** The same limit for engines that were already failing when they got the request. */
const innocentDeathsMax = 4;

/** Counts the engines that died while serving one request. */
export class Deaths {
  #count = 0;
  #innocentCount = 0;

  /** True if the request must not be sent to another engine. */
  get tooMany(): boolean {
    return this.#count >= deathsMax || this.#innocentCount >= innocentDeathsMax;
  }

  note({ failure, innocent }: Pick<Unanswered, 'failure' | 'innocent'>): void {
    if (failure !== 'reset' && failure !== 'cut' && failure !== 'silent') return;
    if (innocent) this.#innocentCount += 1;
    else this.#count += 1;
  }
}

/** Records a failed attempt. @returns the error for the client if no other engine is tried */
export function noteFailure(context: InferenceContext, engine: Engine, outcome: Unanswered): RequestError {
  const { failure, error } = outcome;
  const monitor = context.monitors.get(engine);
  context.metrics.unansweredAttempts.inc({ failure });
  context.log.debug(
    { engine: engine.url, failure, reason: error.message },
    'attempt failed before the engine answered',
  );
  if (error instanceof LimitReached) {
    noteLimit(context, engine, error);
    return error;
  }
  switch (failure) {
    case 'unreachable':
      monitor?.suspect(error.message, (error as { code?: string }).code === 'ECONNREFUSED');
      return new RequestError(502, 'upstream_unreachable', 'no engine could be reached');
    case 'full':
      engine.health.full(performance.now());
      return new RequestError(503, 'refused_everywhere', 'every engine is full', null, fullRetryAfterS);
    case 'absent':
      return new RequestError(404, 'response_not_found', 'no engine holds the response', 'previous_response_id');
    case 'refused':
      return new RequestError(502, 'upstream_refused', 'the engine refused to');
    case 'stalled':
    case 'silent':
      return new RequestError(504, 'upstream_silent', 'the engine went silent before it answered');
    case 'error':
      monitor?.failed(error.message);
      return new RequestError(502, 'upstream_failed', 'the engine failed before it answered');
    case 'stale':
    case 'reset':
    case 'cut':
      monitor?.failed(error.message);
      return new RequestError(502, 'upstream_failed', 'the engine broke the connection before it answered');
  }
}

/** Updates the engine's health after its answer reached the client. 429 and 503 only mark it as full. */
export function noteAnswer(context: InferenceContext, engine: Engine, outcome: RelayOutcome): void {
  const { monitors } = context;
  if (outcome.kind === 'cut' || outcome.kind === 'interrupted') {
    if (outcome.error instanceof LimitReached) noteLimit(context, engine, outcome.error);
    else monitors.get(engine)?.failed(outcome.error.message);
  }
  if (outcome.kind !== 'answered') return;
  const { status } = outcome;
  if (status === 429 || status === 503) engine.health.full(performance.now());
  if (status < 500 && status !== 429) engine.health.worked();
  else if (status >= 500 && status !== 503) monitors.get(engine)?.failed(`it answered with status ${status}`);
}

/** Logs a limit that all attempts share. It does not count against the engine at which it was reached. */
function noteLimit({ log, metrics }: InferenceContext, engine: Engine, { limit, message }: LimitReached): void {
  metrics.limited.inc({ limit });
  log.warn({ engine: engine.url, limit }, `an attempt ends: ${message}`);
}
