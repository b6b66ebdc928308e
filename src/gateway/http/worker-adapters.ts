// Loads and unloads LoRA adapters of one engine for an operator, then lists the engine's models again.

import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { type AdapterAction, adapterActions, ProbeError } from '../engines/engine-probe.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { replyText } from '../exchange/http-reply.ts';
import { readBody } from '../exchange/request-body.ts';
import type { GatewayContext } from './gateway-context.ts';

/** The body only names an adapter. */
const bodyBytesMax = 65_536;

/** Null if the path does not end with an action on adapters. */
export function adapterAction(path: string): AdapterAction | null {
  return adapterActions.find((action) => path.endsWith(`/${action}`)) ?? null;
}

/** Replies with the engine's own status and body. @throws RequestError 502 if the engine does not answer */
export async function changeAdapters(
  { log, monitors }: GatewayContext,
  exchange: Exchange,
  engine: Engine,
  action: AdapterAction,
): Promise<void> {
  const body = await readBody(exchange.request, bodyBytesMax, exchange.lease);
  if (body === null) return;
  const { status, text } = await answerOf(engine, action, body.toString('utf8'));
  log.info({ engine: engine.url, action, status, by: 'admin' }, 'adapters changed');
  // Whatever the status: the engine's list of models decides.
  await monitors.get(engine)?.listModels();
  if (!exchange.gone) replyText(exchange.response, status, isJson(text) ? 'application/json' : 'text/plain', text);
}

async function answerOf(
  { probe }: Engine,
  action: AdapterAction,
  body: string,
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    return await probe.changeAdapters(action, body);
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error;
    throw new RequestError(502, 'upstream_failed', `the engine gave no usable answer: ${error.message}`);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // vLLM answers a success in plain text.
    return false;
  }
}
