// Relays the engines' other routes: those that compute to a worker chosen by the policy, the rest to the engine with
// the fewest requests in flight.

import { readJsonModel } from '../../wire/json-model.ts';
import { limitPriority } from '../../wire/limit-priority.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { requestHeaders } from '../exchange/forwarded-headers.ts';
import { makeRoomForJson } from '../exchange/json-weight.ts';
import { readBody } from '../exchange/request-body.ts';
import { attemptsMax, Deaths, noteAnswer, noteFailure } from '../inference/attempt-failure.ts';
import { ClientAnswer, failingInto } from '../inference/client-answer.ts';
import { permitted, rightsOf } from '../inference/client-rights.ts';
import { answerMeasured } from '../inference/measured-inference.ts';
import { pass, type RelayOutcome, type RelayWatch, relay } from '../inference/relay.ts';
import { noWorkers } from '../pools/pools.ts';
import type { PassRoute } from './client-routes.ts';
import type { GatewayContext } from './gateway-context.ts';

/** @throws RequestError if nothing has been sent and the client must get an error */
export async function passThrough(context: GatewayContext, exchange: Exchange, route: PassRoute): Promise<void> {
  const { readModel } = route;
  const body = await readBody(exchange.request, context.config.bodyBytesMax, exchange.lease);
  if (body === null) return;
  makeRoomForJson(body, exchange.lease);
  const reading = readModel(body, exchange.header('content-type'));
  if (reading.kind === 'wrong') throw new RequestError(400, 'invalid_body', reading.message);
  exchange.mustName(reading.model);
  const resolved = context.pools.resolve(reading.model);
  const { model } = resolved;
  exchange.asksFor(model);
  exchange.trace?.asks({ model, stream: null, maxOutputTokens: null, sequences: 1 });
  const rights = rightsOf(exchange.key, context.config.host);
  const isJson = readModel === readJsonModel;
  const sent = isJson ? limitPriority(body, (priority) => permitted(rights, priority)) : body;
  const requested = { body: sent, length: reading.length, prefillOnly: route.computes === 'prefill' };
  const answer = new ClientAnswer(exchange, null);
  await failingInto(answer, exchange, context.log, () =>
    route.computes === null
      ? passToSome(context, exchange, answer, model, sent)
      : answerMeasured(context, exchange, answer, resolved, requested, rights),
  );
}

/** Tries one engine after another until one answers. @throws RequestError if none does */
async function passToSome(
  context: GatewayContext,
  exchange: Exchange,
  answer: ClientAnswer,
  model: string,
  body: Buffer,
): Promise<void> {
  const tried = new Set<Engine>();
  let failure: RequestError | null = null;
  const deaths = new Deaths();
  while (tried.size < attemptsMax && !deaths.tooMany && !exchange.gone) {
    const engine = leastRequests(context.engines, model, tried);
    if (engine === null) break;
    if (tried.size > 0) context.metrics.retries.inc();
    tried.add(engine);
    const outcome = await send(exchange, answer, engine, body);
    if (outcome.kind !== 'unanswered') {
      noteAnswer(context, engine, outcome);
      return;
    }
    failure = noteFailure(context, engine, outcome);
    deaths.note(outcome);
  }
  throw failure ?? noWorkers('none is ready');
}

async function send(exchange: Exchange, answer: ClientAnswer, engine: Engine, body: Buffer): Promise<RelayOutcome> {
  const { method, rawHeaders } = exchange.request;
  const headers = requestHeaders(rawHeaders, engine.spec.apiKey ?? null, exchange.trace?.headers ?? null);
  headers.push('x-request-id', exchange.id);
  const target = {
    engine,
    stream: false,
    method: method!,
    path: exchange.path + exchange.query,
    headers,
    body: body.length === 0 ? null : body,
    extraHeaders: ['x-request-id', exchange.id, 'x-kvoyant-worker', engine.clientId],
  };
  const leave = engine.enter();
  try {
    return await relay(exchange, answer, target, passAll);
  } finally {
    leave();
  }
}

const passAll: RelayWatch = {
  head: () => pass,
  data: () => pass,
  end: () => null,
  mayMove: () => false,
  settled: () => undefined,
};

/** Stalled engines, full ones and those on trial are second choices. */
function leastRequests(engines: readonly Engine[], model: string, tried: ReadonlySet<Engine>): Engine | null {
  const nowMs = performance.now();
  let least: Engine | null = null;
  let isSecond = true;
  for (const engine of engines) {
    if (!engine.takesRequests || tried.has(engine) || !engine.lists(model)) continue;
    const second = engine.isSecondChoice(nowMs);
    const isBetter = second === isSecond ? least === null || engine.inFlight < least.inFlight : isSecond;
    if (!isBetter) continue;
    least = engine;
    isSecond = second;
  }
  return least;
}
