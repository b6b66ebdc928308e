// Brings what clients do with a stored response to the engine that holds it: read it, cancel it, delete it.
//
// Which engine that is, the gateway knows of the responses that went through it. Of others (it was restarted, or another
// replica relayed them) engines are asked in turn: one that does not hold the response answers 404 and does nothing.

import { responseIdLengthMax } from '../../wire/answer-dialect.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { readBody } from '../exchange/request-body.ts';
import { noteAnswer, noteFailure } from '../inference/attempt-failure.ts';
import { ClientAnswer, failingInto } from '../inference/client-answer.ts';
import { pass, type RelayWatch } from '../inference/relay.ts';
import type { ResponseHolders } from '../pools/response-holders.ts';
import type { GatewayContext } from './gateway-context.ts';
import { passAll, passOn } from './pass-on.ts';

/** Engines that are asked for a response that the gateway does not know. */
export const enginesAskedMax = 64;
/** Ids of engines; others could be read as another path. */
const idForm = /^\w[\w.-]*$/;
/** Statuses of engines without the response, or without such a route. */
const absentStatuses: ReadonlySet<number> = new Set([404, 405, 501]);

/** @throws RequestError if nothing has been sent and the client must get an error */
export async function answerStoredResponse(context: GatewayContext, exchange: Exchange, id: string): Promise<void> {
  const body = await readBody(exchange.request, context.config.bodyBytesMax, exchange.lease);
  if (body === null) return;
  if (id.length > responseIdLengthMax || !idForm.test(id)) throw notFound(id);
  const holder = holderOf(context, exchange, id);
  const answer = new ClientAnswer(exchange, null);
  await failingInto(answer, exchange, context.log, () =>
    holder === null
      ? askAround(context, exchange, answer, id, body)
      : askHolder(context, exchange, answer, holder, body).then((status) => {
          if (exchange.request.method === 'DELETE' && status === 200) holder.responses.forget(id);
        }),
  );
}

interface Holder {
  readonly engine: Engine;
  readonly responses: ResponseHolders;
}

/** Null: it is unknown which engine holds it. @throws RequestError 404 for the response of another key */
function holderOf({ pools }: GatewayContext, { key }: Exchange, id: string): Holder | null {
  const name = key?.name ?? null;
  for (const { responses } of pools) {
    if (responses.isForeign(id, name)) throw notFound(id);
    const held = responses.find(id, name);
    if (held !== null) return { engine: held.worker.engine, responses };
  }
  return null;
}

/** An engine that is drained still holds its responses. @returns the status of the answer; null: none */
async function askHolder(
  context: GatewayContext,
  exchange: Exchange,
  answer: ClientAnswer,
  { engine }: Holder,
  body: Buffer,
): Promise<number | null> {
  if (!engine.isInUse) {
    throw new RequestError(503, 'holder_not_ready', 'the engine that holds the response is not ready');
  }
  const outcome = await passOn(exchange, answer, { engine, body, watch: passAll, answerHeaders: [] });
  if (outcome.kind === 'unanswered') throw noteFailure(context, engine, outcome);
  noteAnswer(context, engine, outcome);
  return outcome.kind === 'answered' ? outcome.status : null;
}

async function askAround(
  context: GatewayContext,
  exchange: Exchange,
  answer: ClientAnswer,
  id: string,
  body: Buffer,
): Promise<void> {
  let asked = 0;
  let failure: RequestError | null = null;
  for (const engine of mayHold(context, exchange)) {
    if (exchange.gone) return;
    if (asked++ === enginesAskedMax) {
      context.metrics.limited.inc({ limit: 'enginesAskedMax' });
      break;
    }
    const outcome = await passOn(exchange, answer, { engine, body, watch: unlessAbsent, answerHeaders: [] });
    if (outcome.kind !== 'unanswered') {
      noteAnswer(context, engine, outcome);
      return;
    }
    if (outcome.failure === 'absent') continue;
    // It may be the one that holds it.
    failure = noteFailure(context, engine, outcome);
  }
  throw failure ?? notFound(id);
}

/** Engines that answer for a model that the client may use. */
function* mayHold({ pools, engines }: GatewayContext, { key }: Exchange): Generator<Engine> {
  const models = key?.models ?? null;
  const names = new Set(models ?? []);
  for (const name of models ?? []) for (const { model } of pools.reachable(name)) names.add(model);
  // The list changes while engines join and leave.
  for (const engine of [...engines]) {
    if (engine.isInUse && (models === null || engine.models.some((one) => names.has(one.id)))) yield engine;
  }
}

const unlessAbsent: RelayWatch = {
  ...passAll,
  head: (status) =>
    absentStatuses.has(status)
      ? { kind: 'give-up', failure: 'absent', error: new Error(`the engine answered with status ${status}`) }
      : pass,
};

function notFound(id: string): RequestError {
  return new RequestError(404, 'response_not_found', `there is no response ${JSON.stringify(id)}`, 'response_id');
}
