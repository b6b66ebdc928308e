// The gateway's own routes: models, health, readiness, metrics, workers, loads and decisions.

import { RequestError } from '../../wire/openai-error.ts';
import type { Engine, Membership, Worker } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyJson, replyText } from '../exchange/http-reply.ts';
import { jsonType, listPieces, replyInTurns } from '../exchange/reply-in-turns.ts';
import type { Pool } from '../pools/pool.ts';
import type { TokensInForce } from '../prompts/pool-tokens.ts';
import { plainForm } from '../telemetry/metrics-form.ts';
import { openForm, prefersOpenMetrics } from '../telemetry/open-metrics.ts';
import { clusterViewState } from './cluster-routes.ts';
import type { GatewayContext } from './gateway-context.ts';
import { type HealthAnswer, type HealthFacts, healthFacts } from './health-answers.ts';
import { offeredModels } from './offered-models.ts';
import { unescapeId } from './path-id.ts';

/** Lists the models and names of `models` that the client's key allows. */
export function answerModels({ pools }: GatewayContext, { key, response }: Exchange): void {
  const data = [...offeredModels(pools).values()].filter(
    ({ id }) => key === null || (key.models?.includes(id) ?? true),
  );
  replyJson(response, 200, { object: 'list', data });
}

/** @throws RequestError 404 if no worker lists the model, or the client's key does not allow it */
export function answerModel({ pools }: GatewayContext, { key, response }: Exchange, escapedId: string): void {
  const id = unescapeId(escapedId);
  const model = offeredModels(pools).get(id);
  if (model === undefined || !(key?.models?.includes(id) ?? true)) {
    throw new RequestError(404, 'model_not_found', `the model ${JSON.stringify(id)} does not exist`, 'model');
  }
  replyJson(response, 200, model);
}

/** The answer of one path of `healthAnswers`. */
export function answerHealthWith(of: (facts: HealthFacts) => HealthAnswer) {
  return (context: GatewayContext, { response }: Exchange): void => {
    const { status, contentType, body } = of(healthFacts(context));
    replyText(response, status, contentType, body);
  };
}

/** In OpenMetrics, with exemplars, if the scraper prefers it. */
export async function answerMetrics({ metricsText, answerSlices }: GatewayContext, exchange: Exchange): Promise<void> {
  const form = prefersOpenMetrics(exchange.header('accept')) ? openForm : plainForm;
  const pieces = await metricsText.pieces(form);
  await replyInTurns(answerSlices, exchange, form.contentType, pieces, { vary: 'accept' });
}

/** Lists all workers in any state. An engine that has not joined yet is listed in place of its workers. */
export async function answerWorkers(context: GatewayContext, exchange: Exchange): Promise<void> {
  await replyInTurns(context.answerSlices, exchange, jsonType, listPieces('workers', workersOf(context)));
}

/** As each is when it is asked for. */
function* workersOf(context: GatewayContext): Generator<WorkerDescription> {
  const known = new Map<Pool, TokensInForce>();
  // Takes a look at each engine of the pool.
  const tokensFrom = (pool: Pool): TokensInForce => {
    const inForce = known.get(pool) ?? pool.tokens.inForce();
    known.set(pool, inForce);
    return inForce;
  };
  for (const engine of [...context.engines]) yield* describeWorkers(engine, context, tokensFrom);
}

/** Lists the load of each joined worker and the queue of each pool. */
export function answerLoads({ pools, peers }: GatewayContext, { response }: Exchange): void {
  const workers: object[] = [];
  const queues: object[] = [];
  for (const pool of pools) {
    const { waiting, waitingBlocks, keptWorkers } = pool.desk;
    queues.push({ pool: pool.name, waiting, waitingBlocks, keptWorkers });
    pool.router.advance(performance.now());
    for (const { index, id, ...load } of pool.router.loads()) {
      const { engine, rank } = pool.worker(index);
      workers.push({ id, url: engine.url, rank, model: engine.models[0]?.id, state: engine.state, ...load });
    }
  }
  replyJson(response, 200, { view: clusterViewState(peers), workers, queues });
}

/** Each record has all its candidates: with many workers they have hundreds of megabytes together. */
export async function answerDecisions(context: GatewayContext, exchange: Exchange): Promise<void> {
  const { answerSlices, decisions } = context;
  await replyInTurns(answerSlices, exchange, jsonType, listPieces('decisions', decisions.records()));
}

/** @throws RequestError 404 if the log has no decision of the request, or no longer */
export async function answerDecisionsOf(
  { answerSlices, decisions }: GatewayContext,
  exchange: Exchange,
  escapedId: string,
): Promise<void> {
  const requestId = unescapeId(escapedId);
  const records = decisions.ofRequest(requestId);
  if (records.length === 0) {
    throw new RequestError(
      404,
      'decision_not_found',
      `the log has no decision for the request ${JSON.stringify(requestId)}`,
    );
  }
  await replyInTurns(answerSlices, exchange, jsonType, listPieces('decisions', records));
}

/** At least one entry: an engine that has not joined yet stands for its workers. */
export function describeWorkers(
  engine: Engine,
  context: Pick<GatewayContext, 'fleet' | 'pools'>,
  tokensFrom: (pool: Pool) => TokensInForce = ({ tokens }) => tokens.inForce(),
): WorkerDescription[] {
  const ofEngine = describeEngine(engine, context, tokensFrom);
  if (engine.workers.length === 0) return [ofEngine];
  return engine.workers.map((worker) => ({ ...ofEngine, ...describeWorker(worker) }));
}

/** One element of `GET /workers`. */
export interface WorkerDescription {
  /** Null until the engine joins. */
  readonly id: string | null;
  readonly url: string;
  readonly [field: string]: unknown;
}

/** Contains no secrets. */
function describeEngine(
  engine: Engine,
  { fleet, pools }: Pick<GatewayContext, 'fleet' | 'pools'>,
  tokensFrom: (pool: Pool) => TokensInForce,
): WorkerDescription {
  const pool = pools.poolOf(engine);
  return {
    id: null,
    url: engine.url,
    /** What clients see instead of its address. */
    clientId: engine.clientId,
    state: engine.state,
    reason: engine.reason,
    /** Unusable claims in the engine's description of itself. */
    remarks: engine.remarks,
    models: engine.models.map(({ id }) => id),
    tokenizer: engine.tokenizer,
    /** Source of token ids by kind of prompt; null until it joins a pool. */
    tokensFrom: pool === undefined ? null : tokensFrom(pool),
    requestsInFlight: engine.inFlight,
    pool: pool?.name ?? null,
    /** Names of `models` that lead here. */
    routes: pools.routesTo(engine),
    draining: engine.draining,
    /** Gets no new requests and has none in flight: it may be stopped. */
    drained: engine.draining && engine.inFlight === 0,
    leaving: fleet.leaving(engine),
  };
}

function speedOf({ router, index }: Membership): object {
  const nowMs = performance.now();
  router.advance(nowMs);
  const { prefillTokensPerS, tokenGapMs } = router.load(index);
  return { prefillTokensPerS, tokenGapMs, ...router.speedOf(index, nowMs) };
}

function describeWorker(worker: Worker): Partial<WorkerDescription> & { readonly id: string } {
  const { id, clientId, rank, traits, feed, offeredFeed, events, account, canary, membership } = worker;
  const trust = worker.trust(performance.now());
  return {
    id,
    clientId,
    rank,
    ...traits,
    // If its events can't be used, the gateway's own decisions replace them.
    source: trust.kind === 'approximate' ? 'approximate' : traits.source,
    trust,
    /** As learnt from its streams; null before it joins. */
    speed: membership === null ? null : speedOf(membership),
    canary,
    trafficFindings: account.findings.current,
    eventsOffered: offeredFeed,
    feed: feed?.status ?? null,
    events,
    account: { ...account.tokens, checks: account.checks, tokenMismatches: account.tokenMismatches },
  };
}
