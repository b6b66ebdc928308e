// What the gateway tells of itself: models, workers, loads, decisions, metrics, health.

import { RequestError } from '../wire/openai-error.ts';
import type { Engine } from './engine.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayContext } from './gateway-context.ts';
import { replyJson, replyText } from './http-reply.ts';
import type { Worker } from './worker.ts';

export function answerModels({ pools }: GatewayContext, { response }: Exchange): void {
  const data = [...pools.models().values()].map(({ description }) => description);
  replyJson(response, 200, { object: 'list', data });
}

/** The process lives. */
export function answerHealth(_context: GatewayContext, { response }: Exchange): void {
  replyText(response, 200, 'text/plain', 'ok\n');
}

/** 200 as soon as, and as long as, some worker can take requests. */
export function answerReady({ engines }: GatewayContext, { response }: Exchange): void {
  const ready = engines.filter(({ state }) => state === 'ready').length;
  replyJson(response, ready > 0 ? 200 : 503, { ready: ready > 0, readyEngines: ready, engines: engines.length });
}

export async function answerMetrics({ metrics: { registry } }: GatewayContext, { response }: Exchange): Promise<void> {
  replyText(response, 200, registry.contentType, await registry.metrics());
}

/** Every worker in whatever state; an engine that has not joined yet stands for its workers. */
export function answerWorkers({ engines }: GatewayContext, { response }: Exchange): void {
  const workers = engines.flatMap((engine) =>
    engine.workers.length === 0
      ? [describeEngine(engine)]
      : engine.workers.map((worker) => ({ ...describeEngine(engine), ...describeWorker(worker) })),
  );
  replyJson(response, 200, { workers });
}

/** What is in flight on every worker that has joined. */
export function answerLoads({ pools }: GatewayContext, { response }: Exchange): void {
  const workers: object[] = [];
  for (const pool of pools) {
    pool.router.advance(performance.now());
    for (const { index, id, ...load } of pool.router.loads()) {
      const { engine, rank } = pool.worker(index);
      workers.push({ id, url: engine.url, rank, model: engine.models[0]?.id, state: engine.state, ...load });
    }
  }
  replyJson(response, 200, { workers });
}

export function answerDecisions({ decisions }: GatewayContext, { response }: Exchange): void {
  replyJson(response, 200, { decisions: decisions.records() });
}

/** @throws RequestError 404 if the request is not, or no longer, in the log. */
export function answerDecisionsOf({ decisions }: GatewayContext, { response }: Exchange, escapedId: string): void {
  const requestId = unescapeId(escapedId);
  const records = decisions.ofRequest(requestId);
  if (records.length === 0) {
    throw new RequestError(
      404,
      'decision_not_found',
      `no decision of the request ${JSON.stringify(requestId)} is kept`,
    );
  }
  replyJson(response, 200, { decisions: records });
}

function unescapeId(escaped: string): string {
  try {
    return decodeURIComponent(escaped);
  } catch {
    throw new RequestError(400, 'invalid_value', 'the request id is not well escaped', 'id');
  }
}

function describeEngine(engine: Engine): object {
  return {
    id: null,
    url: engine.url,
    state: engine.state,
    reason: engine.reason,
    models: engine.models.map(({ id }) => id),
    tokenizer: engine.tokenizer,
    requestsInFlight: engine.inFlight,
  };
}

function describeWorker(worker: Worker): object {
  const { id, rank, membership, traits, feed, offeredFeed, events } = worker;
  return {
    id,
    rank,
    pool: membership?.pool.name ?? null,
    ...traits,
    eventsOffered: offeredFeed,
    feed: feed?.status ?? null,
    events,
  };
}
