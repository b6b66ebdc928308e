// Loads and unloads a LoRA adapter at all engines of a pool for an operator, and says what each of them answered.

import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import type { AdapterAction } from '../engines/engine-probe.ts';
import { ProbeError } from '../engines/engine-probe.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyJson } from '../exchange/http-reply.ts';
import { readBody } from '../exchange/request-body.ts';
import type { Pool } from '../pools/pool.ts';
import type { GatewayContext } from './gateway-context.ts';

/** The body only names an adapter. */
const bodyBytesMax = 65_536;
/** Of an engine's answer, shown in ours. */
const answerCharsMax = 1000;

interface EngineOutcome {
  readonly engine: string;
  /** `unchanged`: it refused, and its list of models is as wanted: the adapter was there, or not there, before. */
  readonly outcome: 'done' | 'unchanged' | 'failed';
  /** Null: it gave no usable answer. */
  readonly status: number | null;
  readonly answer: string;
}

/**
 * `POST /v1/load_lora_adapter`, `POST /v1/unload_lora_adapter`. Every engine gets the body as it came. Nothing is undone
 * where some fail: sent again, the request changes the rest.
 * @throws RequestError 400 if the body names no adapter, or it is unknown which pool is meant; 404
 */
export async function changePoolAdapters(
  context: GatewayContext,
  exchange: Exchange,
  action: AdapterAction,
): Promise<void> {
  const bytes = await readBody(exchange.request, bodyBytesMax, exchange.lease);
  if (bytes === null) return;
  const body = bytes.toString('utf8');
  const adapter = nameOf(body);
  const pool = poolFor(context, exchange.query, action, adapter);
  const engines = context.engines.filter(
    (engine) => context.pools.poolOf(engine) === pool && !context.fleet.leaving(engine),
  );
  const outcomes = await Promise.all(engines.map((engine) => change(context, engine, action, adapter, body)));
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed');
  const counted = { pool: pool.name, adapter, action, engines: outcomes.length, failed: failed.length };
  context.log[failed.length === 0 ? 'info' : 'warn']({ ...counted, by: 'admin' }, 'adapters of a pool changed');
  if (exchange.gone) return;
  const summary = { action, adapter, pool: pool.name, engines: outcomes };
  if (failed.length === 0) replyJson(exchange.response, 200, summary);
  else replyJson(exchange.response, statusFor(outcomes), { ...failure(action, adapter, outcomes), ...summary });
}

/** The engines' own refusal if all of them give the same one, else 502. */
function statusFor(outcomes: readonly EngineOutcome[]): number {
  const [{ status }] = outcomes as [EngineOutcome];
  const isShared = outcomes.every((one) => one.outcome === 'failed' && one.status === status);
  return isShared && status !== null && status >= 400 && status < 500 ? status : 502;
}

function failure(action: AdapterAction, adapter: string, outcomes: readonly EngineOutcome[]): object {
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed');
  const rest = outcomes.length - failed.length;
  const others =
    rest === 0 ? 'nothing has changed' : `the other ${rest} are as wanted; send it again once the cause is mended`;
  const names = failed.map(({ engine }) => engine).join(', ');
  const message = `${action} of ${JSON.stringify(adapter)} failed at ${failed.length} of ${outcomes.length} engines (${names}): ${others}`;
  const code = rest === 0 ? 'adapters_unchanged' : 'adapters_partly_changed';
  return { error: new RequestError(502, code, message).body().error };
}

async function change(
  { monitors }: GatewayContext,
  engine: Engine,
  action: AdapterAction,
  adapter: string,
  body: string,
): Promise<EngineOutcome> {
  const { url } = engine;
  try {
    const { status, text } = await engine.probe.changeAdapters(action, body);
    // Whatever the status: the engine's list of models decides where requests for the adapter go.
    await monitors.get(engine)?.listModels();
    const isAsWanted = engine.lists(adapter) === (action === 'load_lora_adapter');
    const outcome = status >= 200 && status < 300 ? 'done' : isAsWanted ? 'unchanged' : 'failed';
    return { engine: url, outcome, status, answer: text.slice(0, answerCharsMax) };
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error;
    return { engine: url, outcome: 'failed', status: null, answer: error.message.slice(0, answerCharsMax) };
  }
}

/** @throws RequestError 400 */
function nameOf(body: string): string {
  try {
    const { lora_name: name } = JSON.parse(body) as { lora_name?: unknown };
    if (typeof name === 'string' && name !== '') return name;
  } catch {
    // Not JSON, or null.
  }
  throw new RequestError(400, 'invalid_value', 'the body must be a JSON object with a lora_name', 'lora_name');
}

/** The pool of `?model=`, else the one that lists the adapter, else the only one. @throws RequestError 400, 404, 503 */
function poolFor({ pools }: GatewayContext, query: string, action: AdapterAction, adapter: string): Pool {
  const model = new URLSearchParams(query).get('model');
  if (model !== null) return pools.resolve(model).pool;
  for (const pool of pools) if (action === 'unload_lora_adapter' && pool.model(adapter) !== undefined) return pool;
  try {
    return pools.resolve(null).pool;
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 400) throw error;
    throw new RequestError(
      400,
      'missing_model',
      'there are several pools: name one of its models with ?model=',
      'model',
    );
  }
}
