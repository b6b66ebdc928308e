// Routes of the page: its files and its login, which hold no data, and its figures, for operators.

import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyJson } from '../exchange/http-reply.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { readBody } from '../exchange/request-body.ts';
import type { Span } from '../page/page-data.ts';
import type { GatewayContext } from './gateway-context.ts';
import { pageHeaders, pagePath } from './page-assets.ts';
import { unescapeId } from './path-id.ts';
import { forMethod, type Methods, notFound } from './route-table.ts';

type Answer = (context: GatewayContext, exchange: Exchange) => void | Promise<void>;

export const pagePrefix = '/page/';
const decisionsPrefix = '/page/decisions/';
/** A login, or a question of a few words. */
const bodyBytesMax = 8192;
const decisionsListed = 200;

/** Open at the operators' listener, whatever keys are set: they tell no more than whether a key is right. */
const openRoutes: ReadonlyMap<string, Methods<Answer>> = new Map([
  ['/page/session', { GET: answerSession }],
  ['/page/login', { POST: login }],
  ['/page/logout', { POST: logout }],
] satisfies [string, Methods<Answer>][]);

const dataRoutes: ReadonlyMap<string, Methods<Answer>> = new Map([
  ['/page/snapshot', { GET: ({ page }, exchange) => reply(exchange, page.snapshot()) }],
  ['/page/history', { GET: answerHistory }],
  ['/page/decisions', { GET: answerDecisions }],
  ['/page/prefixes', { GET: ({ page }, exchange) => reply(exchange, page.prefixMap()) }],
  ['/page/truth', { GET: ({ page }, exchange) => reply(exchange, page.truth(spanOf(exchange))) }],
  ['/page/what-if', { GET: ({ page }, exchange) => reply(exchange, page.whatIf.state), POST: askWhatIf }],
  ['/page/doctor', { GET: ({ page }, exchange) => reply(exchange, page.doctor.state), POST: askDoctor }],
  ['/page/stream', { GET: answerStream }],
] satisfies [string, Methods<Answer>][]);

/**
 * Answers a request for what the page shows before its login.
 * @returns false if the path is none of these @throws RequestError
 */
export async function answerBeforeLogin(context: GatewayContext, exchange: Exchange): Promise<boolean> {
  const { path, request } = exchange;
  const { method = 'GET' } = request;
  const route = openRoutes.get(path);
  if (route !== undefined) {
    await forMethod(route, method, path)(context, exchange);
    return true;
  }
  if (!isFile(path)) return false;
  context.access.admitLooker(exchange);
  await forMethod({ GET: () => context.pageAssets.answer(exchange, path) }, method, path)();
  return true;
}

/** Answers an authorized request. @throws RequestError 404, 405, and the route's own errors */
export function answerPageData(context: GatewayContext, exchange: Exchange, path: string): void | Promise<void> {
  const { method = 'GET' } = exchange.request;
  const route = dataRoutes.get(path);
  if (route !== undefined) return forMethod(route, method, path)(context, exchange);
  if (!path.startsWith(decisionsPrefix)) throw notFound(path);
  const requestId = unescapeId(path.slice(decisionsPrefix.length));
  return forMethod({ GET: () => answerDecision(context, exchange, requestId) }, method, path)();
}

function isFile(path: string): boolean {
  return path === '/' || path === '/dashboard' || path.startsWith(pagePath);
}

function reply({ response }: Exchange, value: unknown): void {
  replyJson(response, 200, value, { ...pageHeaders, 'cache-control': 'no-store' });
}

function answerSession({ access }: GatewayContext, exchange: Exchange): void {
  reply(exchange, access.pageSession(exchange));
}

async function login(context: GatewayContext, exchange: Exchange): Promise<void> {
  const { key } = await readObject(exchange);
  const session = context.access.login(exchange, key);
  const from = exchange.request.socket.remoteAddress;
  context.log.info({ from, mayAct: session.mayAct }, 'signed in to the page');
  reply(exchange, session);
}

function logout({ access }: GatewayContext, exchange: Exchange): void {
  access.logout(exchange);
  reply(exchange, access.signedOut(exchange));
}

function answerHistory({ page }: GatewayContext, exchange: Exchange): void {
  const worker = queryOf(exchange).get('worker');
  const history = page.history(worker, spanOf(exchange));
  if (history === null) {
    throw new RequestError(404, 'worker_not_found', `there is no history of a worker ${JSON.stringify(worker)}`);
  }
  reply(exchange, history);
}

function answerDecisions({ page }: GatewayContext, exchange: Exchange): void {
  const query = queryOf(exchange);
  const limit = Number(query.get('limit') ?? decisionsListed);
  if (!Number.isInteger(limit) || limit < 1)
    throw new RequestError(400, 'invalid_value', 'limit must be 1 or more', 'limit');
  const asked = { worker: query.get('worker'), model: query.get('model'), limit };
  reply(
    exchange,
    page.decisionList({ ...asked, surprise: query.get('surprise') === '1', retry: query.get('retry') === '1' }),
  );
}

function answerDecision({ page }: GatewayContext, exchange: Exchange, requestId: string): void {
  const attempts = page.decisionsInFull(requestId);
  if (attempts.length === 0) {
    const message = `the log has no decision for the request ${JSON.stringify(requestId)}, or has it no longer`;
    throw new RequestError(404, 'decision_not_found', message);
  }
  reply(exchange, attempts);
}

async function askWhatIf({ page, log }: GatewayContext, exchange: Exchange): Promise<void> {
  const question = await readObject(exchange);
  const state = page.whatIf.ask(question);
  log.info({ ...question, by: 'admin' }, 'what-if asked');
  reply(exchange, state);
}

async function askDoctor({ page, log }: GatewayContext, exchange: Exchange): Promise<void> {
  const { worker } = await readObject(exchange);
  const state = page.doctor.ask({ worker });
  log.info({ worker, by: 'admin' }, 'worker examined');
  reply(exchange, state);
}

function answerStream({ page, access }: GatewayContext, exchange: Exchange): void {
  const { response } = exchange;
  for (const [name, value] of Object.entries(pageHeaders)) response.setHeader(name, value);
  if (page.watch(response, access.lasting(exchange))) return;
  throw new LimitReached('pageViewersMax', 503, 'too_many_viewers', 'too many pages look on (pageViewersMax)');
}

function spanOf(exchange: Exchange): Span {
  const span = queryOf(exchange).get('span') ?? 'fine';
  if (span === 'fine' || span === 'coarse') return span;
  throw new RequestError(400, 'invalid_value', 'span must be fine or coarse', 'span');
}

function queryOf({ query }: Exchange): URLSearchParams {
  return new URLSearchParams(query);
}

async function readObject(exchange: Exchange): Promise<Record<string, unknown>> {
  const body = await readBody(exchange.request, bodyBytesMax, exchange.lease);
  try {
    const value: unknown = JSON.parse(body?.toString('utf8') ?? '');
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Refused below.
  }
  throw new RequestError(400, 'invalid_json', 'the body must be a JSON object');
}
