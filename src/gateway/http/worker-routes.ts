// Operator routes that add, change, drain and remove workers while the gateway runs.

import { RequestError } from '../../wire/openai-error.ts';
import { type EngineSpec, engineFileFields, readEngineSpec } from '../config/engine-spec.ts';
import { linkLocalFault } from '../config/link-local.ts';
import { unknownPoolFault } from '../config/route-faults.ts';
import type { Engine } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyJson } from '../exchange/http-reply.ts';
import { readBody } from '../exchange/request-body.ts';
import { describeWorkers } from './admin-routes.ts';
import type { GatewayContext } from './gateway-context.ts';
import { unescapeId } from './path-id.ts';
import { notAllowed } from './route-table.ts';
import { adapterAction, changeAdapters } from './worker-adapters.ts';

export const workersPrefix = '/workers/';

/** The body only describes a worker. */
const bodyBytesMax = 65_536;
const drainSuffix = '/drain';

/** `POST /workers` @throws RequestError 400 if the description is wrong, 409 if a worker with this address exists */
export async function addWorker(context: GatewayContext, exchange: Exchange): Promise<void> {
  const given = await readJson(exchange);
  const spec = specOf(context, given);
  refuseFiles(spec);
  if (spec.dns === true) throw invalid('dns+ workers can only be set in the configuration', 'url');
  const { fleet } = context;
  const present = fleet.find(spec.url);
  if (present !== undefined && !fleet.leaving(present)) {
    throw new RequestError(409, 'worker_exists', `there is a worker at ${spec.url}; PATCH changes it`, 'url');
  }
  fleet.add(spec);
  context.log.info({ engine: spec.url, by: 'admin' }, 'worker added');
  reply(context, exchange, 201, spec.url);
}

/**
 * `PATCH /workers/ID`, `DELETE /workers/ID`, `POST /workers/ID/drain`, `DELETE /workers/ID/drain`,
 * `POST /workers/ID/load_lora_adapter`, `POST /workers/ID/unload_lora_adapter`. The escaped id names a worker or its
 * engine's address; the action applies to all workers of that engine.
 */
export async function answerWorkerAction(context: GatewayContext, exchange: Exchange, path: string): Promise<void> {
  const { method = 'GET' } = exchange.request;
  const adapters = adapterAction(path);
  if (adapters !== null) {
    if (method !== 'POST') throw notAllowed(method, ['POST']);
    const loader = engineOf(context, unescapeId(path.slice(0, -`/${adapters}`.length)));
    return await changeAdapters(context, exchange, loader, adapters);
  }
  const drains = path.endsWith(drainSuffix);
  const id = unescapeId(drains ? path.slice(0, -drainSuffix.length) : path);
  const engine = engineOf(context, id);
  switch (drains ? `${method} drain` : method) {
    case 'GET':
      return reply(context, exchange, 200, id);
    case 'POST drain':
      return setDraining(context, exchange, engine, true);
    case 'DELETE drain':
      return setDraining(context, exchange, engine, false);
    case 'PATCH':
      return await changeWorker(context, exchange, engine);
    case 'DELETE':
      context.fleet.remove(engine.url);
      context.log.info({ engine: engine.url, by: 'admin' }, 'removing worker');
      return reply(context, exchange, 202, engine.url);
    default:
      throw notAllowed(method, drains ? ['POST', 'DELETE'] : ['GET', 'PATCH', 'DELETE']);
  }
}

function setDraining(context: GatewayContext, exchange: Exchange, engine: Engine, draining: boolean): void {
  if (context.fleet.leaving(engine)) {
    throw new RequestError(409, 'worker_leaving', `${engine.url} is being removed; POST /workers keeps it`);
  }
  engine.setDraining(draining);
  context.log.info({ engine: engine.url, draining, by: 'admin' }, draining ? 'draining worker' : 'draining ended');
  reply(context, exchange, 200, engine.url);
}

/** Given settings replace the current ones; null removes one. */
async function changeWorker(context: GatewayContext, exchange: Exchange, engine: Engine): Promise<void> {
  const changes = await readJson(exchange);
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes)) {
    throw invalid('the body must be a JSON object', null);
  }
  refuseFiles(changes);
  if ('url' in changes) throw invalid("a worker's address can't be changed; add another worker instead", 'url');
  const merged = Object.entries({ ...engine.spec, ...changes }).filter(([, value]) => value !== null);
  const spec = specOf(context, Object.fromEntries(merged));
  context.fleet.add(spec);
  context.log.info({ engine: spec.url, changed: Object.keys(changes), by: 'admin' }, 'worker changed');
  reply(context, exchange, 202, spec.url);
}

/**
 * Replies as `GET /workers` would.
 * @param id of a worker, or its engine's address, which stands for its first worker
 */
function reply(context: GatewayContext, { response }: Exchange, status: number, id: string): void {
  const engine = findEngine(context, id);
  const workers = engine === undefined ? [] : describeWorkers(engine, context);
  replyJson(
    response,
    status,
    workers.find((worker) => worker.id === id) ?? workers[0] ?? { url: id, state: 'removed' },
  );
}

function findEngine({ engines }: GatewayContext, id: string): Engine | undefined {
  return engines.find(({ url, workers }) => url === id || workers.some((worker) => worker.id === id));
}

function engineOf(context: GatewayContext, id: string): Engine {
  const engine = findEngine(context, id);
  if (engine === undefined) throw new RequestError(404, 'worker_not_found', `there is no worker ${JSON.stringify(id)}`);
  return engine;
}

/** Files of this machine are named by its configuration only. */
function refuseFiles(given: object): void {
  const field = engineFileFields.find((name) => name in given);
  if (field !== undefined) throw invalid(`${field} can only be set in the configuration`, field);
}

function specOf({ config }: GatewayContext, value: unknown): EngineSpec {
  const result = readEngineSpec(value);
  if (result.kind === 'wrong') throw invalid(`the worker ${result.message}`, result.field ?? null);
  const fault = config.allowLinkLocal ? null : linkLocalFault(result.spec);
  if (fault !== null) throw invalid(`the worker ${fault}`, 'url');
  const unknown = unknownPoolFault(result.spec, config.pools);
  if (unknown !== null) throw invalid(`the worker's ${unknown}`, 'pool');
  return result.spec;
}

async function readJson(exchange: Exchange): Promise<unknown> {
  const body = await readBody(exchange.request, bodyBytesMax, exchange.lease);
  try {
    return JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    throw new RequestError(400, 'invalid_json', 'the body is not JSON');
  }
}

function invalid(message: string, param: string | null): RequestError {
  return new RequestError(400, 'invalid_value', message, param);
}
