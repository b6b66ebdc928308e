// Tries one worker after another until one answers a request; each attempt is placed, booked and recorded.

import type { WorkerIndex } from '../../core/index.ts';
import type { RequestError } from '../../wire/openai-error.ts';
import type { Worker } from '../engines/engine.ts';
import type { Exchange, Requester } from '../exchange/exchange.ts';
import { requestHeaders } from '../exchange/forwarded-headers.ts';
import type { ResolvedModel } from '../pools/pools.ts';
import { DecisionRecord } from '../telemetry/decision-log.ts';
import { type Placeable, unplaceable } from './admission-applicant.ts';
import { type Placed, place } from './admission-placing.ts';
import { noteAnswer, noteFailure } from './attempt-failure.ts';
import type { AttemptFailure, RelayOutcome } from './attempt-outcome.ts';
import type { InferenceContext } from './inference-context.ts';
import type { Tries } from './tries.ts';

/** Failures of an engine that has done nothing for the request. */
const neverBegan: ReadonlySet<AttemptFailure> = new Set<AttemptFailure>(['unreachable', 'full', 'absent']);

export interface Attempt {
  readonly placed: Placed;
  /** Counts from 1. */
  readonly number: number;
  /** The workers of this attempt and of earlier ones. */
  readonly tried: ReadonlySet<WorkerIndex>;
}

/** The end of an attempt that the client has got something of, or was to get. */
export interface Answered {
  readonly worker: Worker;
  readonly outcome: Exclude<RelayOutcome, { kind: 'unanswered' }>;
}

/**
 * @param send settles when the attempt has ended; its lease is then released in any case
 * @param tried workers that are not tried
 * @returns how the last attempt ended, and at which worker; null: the client is gone
 * @throws RequestError if no worker answers
 */
export async function answerBySome(
  context: InferenceContext,
  exchange: Requester,
  intake: Placeable,
  tries: Tries,
  send: (attempt: Attempt) => Promise<RelayOutcome>,
  tried: Set<WorkerIndex> = new Set(),
): Promise<Answered | null> {
  let failure: RequestError | null = null;
  while (!tries.over && !exchange.gone) {
    const placing = place(context, exchange, intake, tried);
    const placed = placing instanceof Promise ? await placing : placing;
    if (placed === null) break;
    const number = tries.next();
    const outcome = await attemptWith(context, exchange, placed, number, tried, send);
    if (outcome.kind !== 'unanswered') {
      noteAnswer(context, placed.worker.engine, outcome);
      return { worker: placed.worker, outcome };
    }
    failure = noteFailure(context, placed.worker.engine, outcome);
    // A stalled engine is alive: if no other takes the request, it may be tried again.
    if (outcome.failure === 'stalled') tried.delete(placed.routed.decision.worker);
    if (intake.actsOnce && !neverBegan.has(outcome.failure)) tries.end();
    tries.deaths.note(outcome);
  }
  if (exchange.gone) return null;
  throw failure ?? unplaceable(intake);
}

/** Makes one attempt and adds the worker to `tried`. Releases the lease even if something throws. */
async function attemptWith(
  context: InferenceContext,
  exchange: Requester,
  placed: Placed,
  number: number,
  tried: Set<WorkerIndex>,
  send: (attempt: Attempt) => Promise<RelayOutcome>,
): Promise<RelayOutcome> {
  try {
    tried.add(placed.routed.decision.worker);
    if (number > 1) context.metrics.retries.inc();
    return await send({ placed, number, tried });
  } catch (error) {
    exchange.record?.broken(error);
    throw error;
  } finally {
    // A normal end has released the booking already; this covers faults of the gateway.
    placed.lease.release('failed', performance.now());
  }
}

/** Adds the attempt to the log of decisions. */
export function recordOf(
  { decisions }: InferenceContext,
  exchange: Requester,
  { pool, model, route, known, overrides, continues }: Placeable,
  { placed: { routed, worker }, number }: Attempt,
): DecisionRecord {
  const record = new DecisionRecord(
    {
      requestId: exchange.id,
      timeMs: Date.now(),
      model,
      pool: pool.name,
      route,
      worker: worker.id,
      workerClientId: worker.clientId,
      attempt: number,
      decision: routed.decision,
      known,
      trust: worker.trust(performance.now()),
      slo: overrides.slo ?? null,
      continuedTokens: continues?.tokens ?? null,
    },
    pool.workerIds,
  );
  decisions.add(record);
  exchange.record = record;
  record.trace = exchange.trace?.attempt(record, worker.engine.url) ?? null;
  return record;
}

/** The key of an engine, and the rank to ask for; null: none. */
export interface EngineAddress {
  readonly apiKey: string | null;
  readonly rank: number | null;
}

export function addressOf({ engine, rank }: Worker): EngineAddress {
  return { apiKey: engine.spec.apiKey ?? null, rank: engine.workers.length > 1 ? rank : null };
}

/** @param traceHeaders as in `requestHeaders` */
export function upstreamHeaders(
  exchange: Exchange,
  { apiKey, rank }: EngineAddress,
  traceHeaders: readonly string[] | null,
): string[] {
  const headers = requestHeaders(exchange.request.rawHeaders, apiKey, traceHeaders);
  headers.push('x-request-id', exchange.id);
  if (rank !== null) headers.push('x-data-parallel-rank', String(rank));
  return headers;
}

/** Response headers that name the worker, what a name of `models` led to, and what is left of the client's limits. */
export function answerHeaders(
  exchange: Pick<Requester, 'id' | 'use'>,
  intake: ResolvedModel,
  { worker, routed }: Placed,
): string[] {
  const overlapTokens = String(routed.decision.overlapTokens);
  return [
    ...['x-request-id', exchange.id],
    ...['x-kvoyant-worker', worker.clientId],
    ...['x-kvoyant-overlap-tokens', overlapTokens],
    ...routeHeaders(intake),
    ...(exchange.use?.headers() ?? []),
  ];
}

/** None if the client named the model itself and no entry of `models` stands in front of it. */
export function routeHeaders({ pool, model, route }: ResolvedModel): string[] {
  if (route === null) return [];
  return [
    ...['x-kvoyant-model', headerText(model)],
    ...['x-kvoyant-pool', headerText(pool.name)],
    ...['x-kvoyant-route', route.way],
  ];
}

/** Names that no header may have are sent percent-encoded. */
function headerText(name: string): string {
  return /^[\x21-\x7e]+$/.test(name) ? name : encodeURIComponent(Buffer.from(name).toString());
}
