// Reads an inference request from its body: a small one at once, a larger one in parts, a very large one by a thread.

import type { Span } from '../../wire/json-members.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { continuesAnywhere } from '../config/continuing-pools.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { makeRoomForJson, makeRoomInTurns } from '../exchange/json-weight.ts';
import { type BodyToSend, editedBody } from './body-edits.ts';
import { rightsOf } from './client-rights.ts';
import type { InferenceContext } from './inference-context.ts';
import { received } from './reading-messages.ts';
import { readHereBytesMax } from './request-fields.ts';
import { type InferenceApi, type InferenceRequest, readInferenceRequest } from './request-intake.ts';
import { type RoutingOverrides, readOverrides } from './routing-overrides.ts';

/** A request as its client sent it, without its prompts' tokens. */
export interface ReadRequest extends BodyToSend {
  readonly request: InferenceRequest;
  readonly overrides: RoutingOverrides;
  /** As the client sent it, except for a limited priority; `edit` may add a request for usage. */
  readonly body: Buffer;
  /** Where the body names the model, null: nowhere; absent: not looked for. */
  readonly modelAt?: Span | null | undefined;
  /** The gateway asked for the usage; the client did not. */
  readonly hidesUsage: boolean;
}

type ReadingContext = Pick<InferenceContext, 'config' | 'intakeSlices' | 'readingThread'>;

/** Parses a body. @returns null if the client is gone @throws RequestError */
export async function readRequest(
  context: ReadingContext,
  exchange: Exchange,
  api: InferenceApi,
  body: Buffer,
): Promise<ReadRequest | null> {
  const { config, intakeSlices } = context;
  const turn = intakeSlices.take();
  if (turn !== null) await turn;
  if (exchange.gone) return null;
  if (body.length > readHereBytesMax) return readByThread(context, exchange, api, body);
  const hasControls = makeRoomForJson(body, exchange.lease);
  const later = async (): Promise<void> => intakeSlices.take() ?? undefined;
  const requested = readInferenceRequest(api, body, later, continuesAnywhere(config), hasControls);
  const request = requested instanceof Promise ? await requested : requested;
  if (exchange.gone) return null;
  const rights = rightsOf(exchange.key, config.host);
  const overrides = readOverrides(exchange, request, rights);
  mustBeClear(exchange, request);
  return { request, overrides, ...editedBody(body, { rights, injectUsage: config.injectUsage, ...request }) };
}

async function readByThread(
  { config, intakeSlices, readingThread }: ReadingContext,
  exchange: Exchange,
  api: InferenceApi,
  body: Buffer,
): Promise<ReadRequest | null> {
  await makeRoomInTurns(body, exchange.lease, async () => intakeSlices.take() ?? undefined);
  const rights = rightsOf(exchange.key, config.host);
  const { injectUsage } = config;
  const task = { kind: 'inference', api, continues: continuesAnywhere(config), rights, injectUsage } as const;
  const reading = await readingThread.read(task, body, exchange);
  if (reading === null || exchange.gone) return null;
  const { edited, modelAt, hidesUsage } = reading;
  const request = received(reading.request, body);
  const overrides = readOverrides(exchange, request, rights);
  mustBeClear(exchange, request);
  return { request, overrides, body: editedOr(body, edited), edit: null, modelAt, hidesUsage };
}

/** @param edited null: the body is as it was */
export function editedOr(body: Buffer, edited: Uint8Array | null): Buffer {
  return edited === null ? body : Buffer.from(edited.buffer, edited.byteOffset, edited.byteLength);
}

/** @throws RequestError if it is not clear which model the request asks for */
function mustBeClear(exchange: Exchange, { model, repeatsModel }: InferenceRequest): void {
  exchange.mustName(model);
  if (repeatsModel) throw new RequestError(400, 'invalid_body', 'the body names the model twice', 'model');
}
