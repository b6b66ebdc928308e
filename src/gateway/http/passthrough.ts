// Relays the engines' other routes: those that compute to a worker chosen by the policy, the rest to the engine with
// the fewest requests in flight.

import { readJsonModel } from '../../wire/json-model.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { makeRoomForJson } from '../exchange/json-weight.ts';
import { renamedForm, renamedJson } from '../exchange/renamed-body.ts';
import { readBody } from '../exchange/request-body.ts';
import { noteAnswer, noteFailure } from '../inference/attempt-failure.ts';
import { routeHeaders } from '../inference/attempts.ts';
import { ClientAnswer, failingInto } from '../inference/client-answer.ts';
import { rightsOf } from '../inference/client-rights.ts';
import { type MeasuredBody, readMeasuredBody } from '../inference/measured-body.ts';
import { answerMeasured } from '../inference/measured-inference.ts';
import { drawKey, overRoutes } from '../inference/over-routes.ts';
import { sessionOf } from '../inference/routing-overrides.ts';
import type { Tries } from '../inference/tries.ts';
import { noWorkers, type ResolvedModel } from '../pools/pools.ts';
import type { PassRoute } from './client-routes.ts';
import type { GatewayContext } from './gateway-context.ts';
import { passAll, passOn } from './pass-on.ts';

/** @throws RequestError if nothing has been sent and the client must get an error */
export async function passThrough(context: GatewayContext, exchange: Exchange, route: PassRoute): Promise<void> {
  const { readModel } = route;
  const body = await readBody(exchange.request, context.config.bodyBytesMax, exchange.lease);
  if (body === null) return;
  const isJson = readModel === readJsonModel;
  const rights = rightsOf(exchange.key, context.config.host);
  const read = isJson ? await readMeasuredBody(context, exchange, body, rights) : readForm(body, exchange, readModel);
  if (read === null || exchange.gone) return;
  const { reading, body: limited, modelAt } = read;
  if (reading.kind === 'wrong') throw new RequestError(400, 'invalid_body', reading.message);
  exchange.mustName(reading.model);
  const key = drawKey({ session: sessionOf(exchange, null) }, exchange.id);
  const resolve = (): ResolvedModel => context.pools.resolve(reading.model, key);
  let resolved = resolve();
  const asked = resolved.route?.asked ?? resolved.model;
  exchange.asksFor(asked);
  exchange.trace?.asks({ model: asked, stream: null, maxOutputTokens: null, sequences: 1 });
  const answer = new ClientAnswer(exchange, null);
  const serve = (one: ResolvedModel, tries: Tries): Promise<void> => {
    resolved = one;
    const sent = isJson
      ? renamedJson(limited, reading.model, one.model, modelAt)
      : renamedForm(limited, exchange.header('content-type'), reading.model, one.model);
    const requested = { body: sent, length: reading.length, prefillOnly: route.computes === 'prefill' };
    return route.computes === null
      ? passToSome(context, exchange, answer, one, sent, tries)
      : answerMeasured(context, exchange, answer, one, requested, rights, tries);
  };
  try {
    await failingInto(answer, exchange, context.log, () => overRoutes(exchange, resolved, resolve, serve));
  } finally {
    context.metrics.routes.count(resolved);
  }
}

function readForm(body: Buffer, exchange: Exchange, readModel: PassRoute['readModel']): MeasuredBody {
  makeRoomForJson(body, exchange.lease);
  return { reading: readModel(body, exchange.header('content-type')), body };
}

/** Tries one engine after another until one answers. @throws RequestError if none does */
async function passToSome(
  context: GatewayContext,
  exchange: Exchange,
  answer: ClientAnswer,
  resolved: ResolvedModel,
  body: Buffer,
  tries: Tries,
): Promise<void> {
  const tried = new Set<Engine>();
  const answerHeaders = routeHeaders(resolved);
  let failure: RequestError | null = null;
  while (!tries.over && !exchange.gone) {
    const engine = leastRequests(resolved, tried);
    if (engine === null) break;
    if (tries.next() > 1) context.metrics.retries.inc();
    tried.add(engine);
    const outcome = await passOn(exchange, answer, { engine, body, watch: passAll, answerHeaders });
    if (outcome.kind !== 'unanswered') {
      noteAnswer(context, engine, outcome);
      return;
    }
    failure = noteFailure(context, engine, outcome);
    tries.deaths.note(outcome);
  }
  throw failure ?? noWorkers('none is ready');
}

/** Stalled engines, full ones and those on trial are second choices. */
function leastRequests({ pool, model }: ResolvedModel, tried: ReadonlySet<Engine>): Engine | null {
  const nowMs = performance.now();
  let least: Engine | null = null;
  let isSecond = true;
  for (const { engine } of pool.workers) {
    if (!engine.takesRequests || tried.has(engine) || !engine.lists(model)) continue;
    const second = engine.isSecondChoice(nowMs);
    const isBetter = second === isSecond ? least === null || engine.inFlight < least.inFlight : isSecond;
    if (!isBetter) continue;
    least = engine;
    isSecond = second;
  }
  return least;
}
