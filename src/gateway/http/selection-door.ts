// The routes of the selection service, at the clients' port: access, limits, bodies, answers.

import { RequestError } from '../../wire/openai-error.ts';
import type { ClientUse } from '../exchange/client-use.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyError, replyJson } from '../exchange/http-reply.ts';
import { jsonType, replyInTurns, textPieces } from '../exchange/reply-in-turns.ts';
import { readBody } from '../exchange/request-body.ts';
import { type Asked, AskedHere, AskedUntilRead } from '../selection/asked.ts';
import { Caller } from '../selection/caller.ts';
import { serveLines } from '../selection/line-connection.ts';
import { openApi } from '../selection/openapi.ts';
import { answered, type OperationName, operateAll } from '../selection/operations.ts';
import { QueryFields } from '../selection/query-fields.ts';
import { queryValues } from '../selection/read-fields.ts';
import { Holder } from '../selection/reservation-table.ts';
import type { Selection } from '../selection/selection.ts';
import { answerLoads } from './admin-routes.ts';
import type { GatewayContext } from './gateway-context.ts';
import { unescapeId } from './path-id.ts';
import { forMethod, type Methods, notFound } from './route-table.ts';
import { withBody } from './with-body.ts';

interface Call {
  readonly context: GatewayContext;
  readonly selection: Selection;
  readonly exchange: Exchange;
}

type Answer = (call: Call) => void | Promise<void>;

const loadsPath = '/loads';
const routes: ReadonlyMap<string, Methods<Answer>> = new Map([
  ['/select', { POST: withFields('select', ({ selection }, caller, asked) => selection.select(caller, asked)) }],
  ['/reserve', { POST: withFields('reserve', reserve) }],
  ['/overlap', looked('overlap', ({ selection }, caller, asked) => selection.overlap(caller, asked))],
  [
    '/potential-loads',
    looked('potential-loads', ({ selection }, caller, asked) => selection.potentialLoads(caller, asked)),
  ],
  ['/batch', { POST: answerBatch }],
  ['/connection', { POST: answerLines }],
  [loadsPath, { GET: ({ context, exchange }) => answerLoads(context, exchange) }],
  ['/openapi.json', { GET: ({ exchange }) => replyJson(exchange.response, 200, openApi()) }],
] satisfies [string, Methods<Answer>][]);

const reservationsPrefix = '/reservations/';

export function isSelectionPath(path: string): boolean {
  return routes.has(path) || path.startsWith(reservationsPrefix);
}

/** @throws RequestError if nothing has been sent and the caller must get an error */
export async function serveSelection(
  context: GatewayContext,
  selection: Selection,
  exchange: Exchange,
  path: string,
): Promise<void> {
  const { config, slots, keyLimits } = context;
  admit(context, exchange, path);
  slots.letIn(exchange.request);
  const { method = 'GET' } = exchange.request;
  const route = forMethod(routes.get(path) ?? reservationRoutes(path), method, path);
  const work = (use: ClientUse): void | Promise<void> => {
    exchange.use = use;
    return withBody(context, exchange, () => route({ context, selection, exchange }));
  };
  // Reservations alone use tokens: whoever has none left can still end those that it has.
  await keyLimits.within(exchange.key, config, performance.now(), work, false);
}

function admit({ access, config }: GatewayContext, exchange: Exchange, path: string): void {
  try {
    access.admitSelector(exchange, config.host);
  } catch (error) {
    // Operators have this route too.
    if (path !== loadsPath || !isOperator(access, exchange)) throw error;
  }
}

function isOperator(access: GatewayContext['access'], exchange: Exchange): boolean {
  try {
    access.admitOperatorAmongClients(exchange);
    return true;
  } catch {
    return false;
  }
}

function reservationRoutes(path: string): Methods<Answer> {
  const [escapedId = '', action, ...more] = path.slice(reservationsPrefix.length).split('/');
  if (escapedId === '' || more.length > 0) throw notFound(path);
  const id = unescapeId(escapedId);
  switch (action) {
    case undefined:
      return {
        GET: (call) => reply(call, 'show', (caller) => call.selection.show(caller, id)),
        DELETE: (call) =>
          reply(call, 'delete', (caller) => call.selection.delete(caller, id, queryValues(call.exchange.query))),
      };
    case 'first-token':
      return { POST: (call) => reply(call, 'first-token', (caller) => call.selection.firstToken(caller, id)) };
    case 'output':
      return { POST: withFields('output', ({ selection }, caller, asked) => selection.output(caller, id, asked)) };
    default:
      throw notFound(path);
  }
}

function reserve({ selection }: Call, caller: Caller, asked: AskedUntilRead): Promise<object> {
  return selection.reserve(caller, asked, (keptBytes) => asked.read(keptBytes));
}

type Work<A extends Asked = AskedUntilRead> = (call: Call, caller: Caller, asked: A) => Promise<object>;

/** An operation that only looks: with a JSON body, or with what fits a query. */
function looked(name: OperationName, work: Work<Asked>): Methods<Answer> {
  return {
    GET: (call) =>
      reply(call, name, (caller) => work(call, caller, new AskedHere(new QueryFields(call.exchange.query)))),
    POST: withFields(name, work),
  };
}

/** An operation with a JSON body. */
function withFields(name: OperationName, work: Work): Answer {
  return async (call) => {
    const asked = await askedIn(call);
    if (asked !== null) await reply(call, name, (caller) => work(call, caller, asked));
  };
}

/** A function of its own: while a reservation waits for a worker, nothing else must keep what is asked. */
async function askedIn(call: Call): Promise<AskedUntilRead | null> {
  const { selection, exchange } = call;
  const { lease } = exchange;
  const asked = await readWith(call, (body) => selection.bodies.operation(body, lease, exchange));
  return asked === null ? null : new AskedUntilRead(asked, (keptBytes) => lease?.shrinkTo(keptBytes));
}

/** @returns null if the caller is gone @throws RequestError 400, 413, 503 */
async function readWith<Read>(
  { context, exchange }: Call,
  read: (body: Buffer) => Read | Promise<Read | null>,
): Promise<Read | null> {
  const body = await readBody(exchange.request, context.config.bodyBytesMax, exchange.lease);
  if (body === null) return null;
  const turn = context.intakeSlices.take();
  if (turn !== null) await turn;
  return exchange.gone ? null : read(body);
}

async function reply(
  { context, selection, exchange }: Call,
  name: OperationName,
  work: (caller: Caller) => object | Promise<object>,
): Promise<void> {
  const caller = new Caller(exchange.key, exchange.id, null);
  exchange.whenGone(() => selection.release(caller));
  const { status, body, error } = await answered(context, caller, name, () => work(caller));
  if (exchange.gone) return;
  const headers = headersOf(exchange);
  if (error === null) replyJson(exchange.response, status, body, headers);
  else replyError(exchange.response, error, headers);
}

function headersOf({ id, use }: Exchange): Readonly<Record<string, string>> {
  const headers: Record<string, string> = { 'x-request-id': id };
  const limits = use?.headers() ?? [];
  for (let i = 0; i < limits.length; i += 2) headers[limits[i]!] = limits[i + 1]!;
  return headers;
}

async function answerBatch(call: Call): Promise<void> {
  const { context, selection, exchange } = call;
  const batch = await readWith(call, (body) => selection.bodies.batch(body, exchange.lease, exchange));
  if (batch === null) return;
  const caller = new Caller(exchange.key, exchange.id, null);
  exchange.whenGone(() => selection.release(caller));
  const onRead = (keptBytes: number): void => exchange.lease?.shrinkTo(keptBytes);
  const results = await operateAll(context, selection, caller, batch, onRead);
  if (exchange.gone) return;
  await replyInTurns(context.answerSlices, exchange, jsonType, textPieces('results', results), headersOf(exchange));
}

async function answerLines({ context, selection, exchange }: Call): Promise<void> {
  if (exchange.request.httpVersion !== '1.1') {
    throw new RequestError(505, 'http_version', 'this needs HTTP/1.1');
  }
  context.slots.letLast(exchange.request);
  context.deadlines.lasts(exchange);
  const caller = new Caller(exchange.key, exchange.id, new Holder());
  exchange.whenGone(() => selection.release(caller));
  await serveLines(context, selection, exchange, caller);
}
