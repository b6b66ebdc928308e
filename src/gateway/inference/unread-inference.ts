// Answers an inference request with an unread prompt (responses, messages): booked by its length, passed on unchanged.

import type { Exchange } from '../exchange/exchange.ts';
import type { BookingLease } from '../pools/booking-lease.ts';
import type { ResolvedModel } from '../pools/pools.ts';
import { unclaimed } from '../prompts/prompt-content.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import { hashing, type Placeable } from './admission-applicant.ts';
import { type Attempt, addressOf, answerBySome, answerHeaders, recordOf, upstreamHeaders } from './attempts.ts';
import type { ClientAnswer } from './client-answer.ts';
import type { ClientRights } from './client-rights.ts';
import type { InferenceContext } from './inference-context.ts';
import { faultOf, pass, type RelayOutcome, type RelayWatch, relay } from './relay.ts';
import { readOverrides } from './routing-overrides.ts';

/**
 * Claims no block, since it is unknown how an engine turns the body into tokens. The tokens of the answer are not
 * counted, so the router estimates its progress like that of an answer in one piece.
 * @param body counts as the prompt
 * @throws RequestError if nothing has been sent and the client must get an error
 */
export function answerUnread(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  resolved: ResolvedModel,
  body: Buffer,
  rights: ClientRights,
): Promise<void> {
  const intake: Placeable = {
    ...resolved,
    request: { maxOutputTokens: null, sequences: 1, stream: false },
    known: 'beginning',
    hashed: hashing(
      resolved,
      { cacheSalt: null, recomputed: false },
      [unclaimed({ restBytes: body.length })],
      context.hasher,
    ),
    overrides: readOverrides(exchange, { priority: 0, session: null }, rights),
  };
  return answerBySome(context, exchange, intake, (attempt) => send(context, exchange, answer, intake, body, attempt));
}

async function send(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  intake: Placeable,
  body: Buffer,
  attempt: Attempt,
): Promise<RelayOutcome> {
  const { worker, lease } = attempt.placed;
  // First: the trace's headers are those of the attempt.
  const record = recordOf(context, exchange, intake, attempt);
  const target = {
    engine: worker.engine,
    stream: false,
    method: 'POST',
    path: exchange.path + exchange.query,
    headers: upstreamHeaders(exchange, addressOf(worker), exchange.trace?.headers ?? null),
    body,
    extraHeaders: answerHeaders(exchange, attempt.placed),
  };
  return relay(exchange, answer, target, new UnreadWatch(lease, record, exchange.startedMs));
}

/** Passes everything on and releases the booking at the end. */
class UnreadWatch implements RelayWatch {
  readonly #lease: BookingLease;
  readonly #record: DecisionRecord;
  readonly #startedMs: number;

  constructor(lease: BookingLease, record: DecisionRecord, startedMs: number) {
    this.#lease = lease;
    this.#record = record;
    this.#startedMs = startedMs;
  }

  head(status: number): typeof pass {
    this.#record.status = status;
    return pass;
  }

  data(): typeof pass {
    return pass;
  }

  end(): null {
    return null;
  }

  mayMove(): false {
    return false;
  }

  settled(outcome: RelayOutcome): void {
    const nowMs = performance.now();
    const error = faultOf(outcome);
    this.#record.outcome = outcome.kind === 'gone' ? 'aborted' : error === null ? 'done' : 'failed';
    this.#lease.release(this.#record.outcome, nowMs);
    this.#record.error = error;
    this.#record.durationMs = nowMs - this.#startedMs;
    this.#record.end();
  }
}
