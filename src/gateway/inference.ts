// The life of an inference request: read, tokenized, routed and booked in one step, relayed, tried again, released.

import type { Routed } from '../core/index.ts';
import type { RequestError } from '../wire/openai-error.ts';
import { attemptsMax, noteFailure } from './attempt-failure.ts';
import { BookingLease } from './booking-lease.ts';
import { DecisionRecord } from './decision-log.ts';
import type { Exchange } from './exchange.ts';
import { requestHeaders } from './forwarded-headers.ts';
import type { GatewayContext } from './gateway-context.ts';
import { InferenceWatch } from './inference-watch.ts';
import { noWorkers, type ResolvedModel } from './pools.ts';
import { hashContents, type PromptContent, promptBytes, readContents } from './prompt-tokens.ts';
import { type RelayOutcome, relay } from './relay.ts';
import { readBody } from './request-body.ts';
import { type InferenceApi, type InferenceRequest, readInferenceRequest } from './request-intake.ts';
import { type RoutingOverrides, readOverrides } from './routing-overrides.ts';
import type { Worker } from './worker.ts';

/** What of a request is the same for every attempt. */
interface Intake extends ResolvedModel {
  readonly body: Buffer;
  readonly request: InferenceRequest;
  readonly contents: readonly PromptContent[];
  readonly overrides: RoutingOverrides;
}

interface Placed {
  readonly routed: Routed;
  readonly worker: Worker;
  readonly lease: BookingLease;
}

/**
 * Answers one request. Nothing is awaited between hashing, routing and the lease that holds the bookings.
 * @throws RequestError if the client has to be told; nothing has been sent then.
 */
export async function answerInference(context: GatewayContext, exchange: Exchange, api: InferenceApi): Promise<void> {
  const intake = await readIntake(context, exchange, api);
  if (intake === null) return;
  const excluded = new Set(intake.pool.excludedFor(intake.model));
  let failure: RequestError | null = null;
  for (let attempt = 1; attempt <= attemptsMax && !exchange.gone; attempt++) {
    const placed = place(context, intake, excluded);
    if (placed === null) break;
    if (attempt > 1) context.metrics.retries.inc();
    const outcome = await send(context, exchange, intake, placed, attempt).finally(() => {
      // Every end of an attempt has released it by now; only a fault of ours has not.
      placed.lease.release('failed', performance.now());
    });
    if (outcome.kind !== 'unanswered') return;
    failure = noteFailure(context, placed.worker.engine, outcome);
    excluded.add(placed.routed.decision.worker);
  }
  throw failure ?? noWorkers(`none that serves ${JSON.stringify(intake.model)} is ready`);
}

/** @returns null if the client is gone */
async function readIntake(context: GatewayContext, exchange: Exchange, api: InferenceApi): Promise<Intake | null> {
  const { config, pools, tokenizer, metrics, log } = context;
  const body = await readBody(exchange.request, config.bodyBytesMax);
  if (body === null) return null;
  const request = readInferenceRequest(api, body);
  const overrides = readOverrides(exchange);
  const resolved = pools.resolve(request.model);
  exchange.model = resolved.model;
  const reading = readContents(request, tokenizer, (error) => {
    metrics.tokenizerFailures.inc({ code: error.code });
    log.warn({ requestId: exchange.id, code: error.code, reason: error.message }, 'prompt routed by its bytes');
  });
  const contents = reading instanceof Promise ? await reading : reading;
  return exchange.gone ? null : { ...resolved, body, request, contents, overrides };
}

/** Hashes, routes and books, synchronously. @returns null if no worker may take the request */
function place({ hasher, metrics }: GatewayContext, intake: Intake, excluded: ReadonlySet<number>): Placed | null {
  const { pool, request, contents, lora } = intake;
  const { bytesPerToken } = pool.byteRatio;
  const namespace = { lora, salt: request.cacheSalt };
  const routed = pool.router.route(
    {
      prompts: hashContents(contents, hasher, pool.router.blockSizes(), bytesPerToken, namespace),
      sequences: request.sequences,
      silent: !request.stream,
      excluded,
      ...(request.maxOutputTokens !== null && { maxOutputTokens: request.maxOutputTokens }),
      ...intake.overrides,
    },
    performance.now(),
  );
  if (routed.kind === 'refused') return null;
  const lease = new BookingLease(pool.router, routed, request.sequences);
  const { policy, reason, worker } = routed.decision;
  metrics.decisions.inc({ policy, reason });
  return { routed, lease, worker: pool.worker(worker) };
}

/** Settles when the attempt has ended; by then its bookings are released. */
function send(
  context: GatewayContext,
  exchange: Exchange,
  intake: Intake,
  { routed, worker, lease }: Placed,
  attempt: number,
): Promise<RelayOutcome> {
  const { metrics, decisions, log } = context;
  const { pool, model, request, contents } = intake;
  const { engine } = worker;
  const record = new DecisionRecord(
    { requestId: exchange.id, timeMs: Date.now(), model, worker: worker.id, attempt, decision: routed.decision },
    pool.workerIds,
  );
  decisions.add(record);
  engine.inFlight += 1;
  return new Promise((resolve) => {
    const watch = new InferenceWatch({
      lease,
      record,
      metrics,
      log,
      choices: contents.length * request.sequences,
      startedMs: exchange.startedMs,
      onUsage: ({ promptTokens }) => {
        const bytes = promptBytes(contents);
        if (bytes !== null) pool.byteRatio.observe(bytes, promptTokens);
      },
      onSettled: (outcome) => {
        engine.inFlight -= 1;
        resolve(outcome);
      },
    });
    const target = {
      upstream: engine.upstream,
      method: 'POST',
      path: exchange.request.url!,
      headers: upstreamHeaders(exchange, worker),
      body: intake.body,
      extraHeaders: [
        'x-request-id',
        exchange.id,
        'x-kvoyant-worker',
        worker.id,
        'x-kvoyant-overlap-tokens',
        String(routed.decision.overlapTokens),
      ],
    };
    relay(exchange, target, watch);
  });
}

function upstreamHeaders(exchange: Exchange, { engine, rank }: Worker): string[] {
  const headers = requestHeaders(exchange.request.rawHeaders, engine.spec.apiKey ?? null);
  headers.push('x-request-id', exchange.id);
  if (engine.workers.length > 1) headers.push('x-data-parallel-rank', String(rank));
  return headers;
}
