// The list of operator routes, the same at both listeners.

import type { Exchange } from '../exchange/exchange.ts';
import {
  answerDecisions,
  answerDecisionsOf,
  answerHealthWith,
  answerLoads,
  answerMetrics,
  answerWorkers,
} from './admin-routes.ts';
import { answerCluster } from './cluster-routes.ts';
import type { GatewayContext } from './gateway-context.ts';
import { healthAnswers } from './health-answers.ts';
import { answerPageData, pagePrefix } from './page-routes.ts';
import { changePoolAdapters } from './pool-adapters.ts';
import { forMethod, type Methods, notFound } from './route-table.ts';
import { addWorker, answerWorkerAction, workersPrefix } from './worker-routes.ts';

type Answer = (context: GatewayContext, exchange: Exchange) => void | Promise<void>;

/** Open to everyone at both listeners, whatever keys are set; they are cheap to answer. */
const openRoutes: ReadonlyMap<string, Methods<Answer>> = new Map(
  [...healthAnswers].map(([path, of]) => [path, { GET: answerHealthWith(of) }]),
);

const operatorRoutes: ReadonlyMap<string, Methods<Answer>> = new Map([
  ['/metrics', { GET: answerMetrics }],
  ['/workers', { GET: answerWorkers, POST: addWorker }],
  ['/loads', { GET: answerLoads }],
  ['/cluster', { GET: answerCluster }],
  ['/decisions', { GET: answerDecisions }],
  [
    '/v1/load_lora_adapter',
    { POST: (context, exchange) => changePoolAdapters(context, exchange, 'load_lora_adapter') },
  ],
  [
    '/v1/unload_lora_adapter',
    { POST: (context, exchange) => changePoolAdapters(context, exchange, 'unload_lora_adapter') },
  ],
] satisfies [string, Methods<Answer>][]);

const decisionsPrefix = '/decisions/';

/** Null if the path is not an open route. */
export function openRoute(path: string): Methods<Answer> | null {
  return openRoutes.get(path) ?? null;
}

export function isOperatorPath(path: string): boolean {
  return operatorRoutes.has(path) || [decisionsPrefix, workersPrefix, pagePrefix].some((one) => path.startsWith(one));
}

/** Answers an authorized request. @throws RequestError 404, 405, and the route's own errors */
export function answerOperator(context: GatewayContext, exchange: Exchange, path: string): void | Promise<void> {
  const { method = 'GET' } = exchange.request;
  const methods = operatorRoutes.get(path);
  if (methods !== undefined) return forMethod(methods, method, path)(context, exchange);
  if (path.startsWith(decisionsPrefix)) {
    const id = path.slice(decisionsPrefix.length);
    return forMethod({ GET: () => answerDecisionsOf(context, exchange, id) }, method, path)();
  }
  if (path.startsWith(workersPrefix)) return answerWorkerAction(context, exchange, path.slice(workersPrefix.length));
  if (path.startsWith(pagePrefix)) return answerPageData(context, exchange, path);
  throw notFound(path);
}
