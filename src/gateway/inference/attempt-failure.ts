// What follows from an attempt that failed: for the engine's health, for the client's next chance, for its answer.

import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { fullRetryAfterS } from './client-answer.ts';
import type { InferenceContext } from './inference-context.ts';
import type { RelayOutcome } from './relay.ts';

export type Unanswered = Extract<RelayOutcome, { kind: 'unanswered' }>;

/** Engines that one request may be sent to before the gateway gives up. */
export const attemptsMax = 16;
/** A request that was at this many engines when they died may be what kills them. */
const deathsMax = 2;
/** Likewise, where they had seemed to be dying before; still, a request that kills at once must not get far. */
const innocentDeathsMax = 4;
/** How long an engine that is full comes second. */
const fullMs = 1000;

/** The engines that died with one request in their hands. */
export class Deaths {
  #count = 0;
  #innocentCount = 0;

  /** No further engine is to be risked. */
  get tooMany(): boolean {
    return this.#count >= deathsMax || this.#innocentCount >= innocentDeathsMax;
  }

  note({ failure, innocent }: Unanswered): void {
    if (failure !== 'reset' && failure !== 'cut' && failure !== 'silent') return;
    if (innocent) this.#innocentCount += 1;
    else this.#count += 1;
  }
}

/** @returns the error that the client gets if no further engine is tried. */
export function noteFailure(context: InferenceContext, engine: Engine, outcome: Unanswered): RequestError {
  const { failure, error } = outcome;
  const monitor = context.monitors.get(engine);
  context.metrics.unansweredAttempts.inc({ failure });
  context.log.debug({ engine: engine.url, failure, reason: error.message }, 'engine did not answer');
  switch (failure) {
    case 'unreachable':
      monitor?.suspect(error.message, (error as { code?: string }).code === 'ECONNREFUSED');
      return new RequestError(502, 'upstream_unreachable', 'no engine could be reached');
    case 'full':
      engine.fullUntilMs = performance.now() + fullMs;
      return new RequestError(503, 'refused_everywhere', 'every engine is full', null, fullRetryAfterS);
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

/** What an attempt that reached the client says of the engine's health. 4xx and 503 say nothing against it. */
export function noteAnswer({ monitors }: InferenceContext, engine: Engine, outcome: RelayOutcome): void {
  if (outcome.kind === 'cut') monitors.get(engine)?.failed(outcome.error.message);
  if (outcome.kind !== 'answered') return;
  const { status } = outcome;
  if (status === 429 || status === 503) engine.fullUntilMs = performance.now() + fullMs;
  if (status < 500 && status !== 429) monitors.get(engine)?.worked();
  else if (status >= 500 && status !== 503) monitors.get(engine)?.failed(`it answered with status ${status}`);
}
