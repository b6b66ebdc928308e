// Handles a request at a front: reads and tokenizes chats and completions, and passes everything else to the owner.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import { Exchange } from '../exchange/exchange.ts';
import { announcedBytes, bodyTooLarge, readBody } from '../exchange/request-body.ts';
import { statusOf } from '../http/client-door.ts';
import { foreignOrigin, markForOrigin } from '../http/cross-origin.ts';
import { fail } from '../http/http-failure.ts';
import { limitedKey } from '../http/key-limits.ts';
import { hasPlainQuery } from '../http/request-path.ts';
import { invite } from '../http/with-body.ts';
import { ClientAnswer, failingInto } from '../inference/client-answer.ts';
import { type ReadRequest, readRequest } from '../inference/read-request.ts';
import type { InferenceApi } from '../inference/request-intake.ts';
import { withHashesAhead } from '../prompts/hash-ahead.ts';
import { hashContents, type LengthGuess, type PromptContent } from '../prompts/prompt-content.ts';
import { readContents } from '../prompts/prompt-tokens.ts';
import type { FrontContext } from './front-context.ts';
import type { AskedRequest, FrontModel, SentTrace } from './front-messages.ts';
import { FrontRequest } from './front-request.ts';
import { toSharedMs } from './shared-clock.ts';

/** Any other spelling of these paths is the owner's to judge. */
const ownPaths: ReadonlyMap<string, InferenceApi> = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/completions', 'completions'],
]);

/** A request with the tokens of all its prompts. */
interface Tokenized extends ReadRequest {
  readonly contents: readonly PromptContent[];
  readonly model: string;
  readonly facts: FrontModel;
  /** When its tokens were asked for and known; as of `performance.now()`. */
  readonly readMs: number;
  readonly tokensMs: number;
}

/** Prompts that are known in tokens need no guess. */
const noGuess: LengthGuess = { bytesPerToken: 1, tokensPerPart: 0 };

export async function handleAtFront(
  context: FrontContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = request.url ?? '/';
  const split = target.indexOf('?');
  const path = split === -1 ? target : target.slice(0, split);
  const api = request.method === 'POST' && hasPlainQuery(target) ? ownPaths.get(path) : undefined;
  const rawHeaders = [...request.rawHeaders];
  if (api === undefined) {
    invite({ request, response });
    context.slots.letIn(request);
    await context.ownerDoor.pass(request, response, rawHeaders, null, context.access.provenName(request));
    return;
  }
  const exchange = new Exchange(request, response);
  exchange.path = path;
  exchange.query = split === -1 ? '' : target.slice(split);
  context.deadlines.watch(exchange);
  const served: Served = { number: null, passed: false, admitted: false };
  try {
    await serve(context, exchange, api, rawHeaders, served);
  } catch (error) {
    fail(context, exchange, error);
  }
  if (!served.passed) account(context, exchange, served);
}

/** How a request was served: by whom it is counted. */
interface Served {
  /** The owner's number; null: it was not placed. */
  number: number | null;
  /** The owner served it and counts it. */
  passed: boolean;
  /** Its key is valid. */
  admitted: boolean;
}

async function serve(
  context: FrontContext,
  exchange: Exchange,
  api: InferenceApi,
  rawHeaders: readonly string[],
  served: Served,
): Promise<void> {
  const { config, access, slots, bodyBudget } = context;
  const { request, response } = exchange;
  if (!markForOrigin(exchange, config.corsOrigins) && !access.needsKey) throw foreignOrigin();
  access.admitClient(exchange);
  served.admitted = true;
  slots.letIn(request);
  const lease = bodyBudget.lease();
  exchange.lease = lease;
  try {
    if (announcedBytes(request) > config.bodyBytesMax) throw bodyTooLarge(config.bodyBytesMax);
    invite(exchange);
    const body = await readBody(request, config.bodyBytesMax, lease);
    if (body === null) return;
    const read = await readRequest(context, exchange, api, body);
    if (read === null) return;
    const tokenized = await tokenize(context, exchange, read);
    if (exchange.gone) return;
    if (tokenized === null) {
      served.passed = true;
      context.deadlines.forget(exchange);
      await context.ownerDoor.pass(request, response, rawHeaders, body, access.provenName(request));
      return;
    }
    await answer(context, exchange, tokenized, served);
  } finally {
    lease.release();
  }
}

/** @returns null if the owner must serve the request: it has other sources of tokens, and guesses of lengths */
async function tokenize(context: FrontContext, exchange: Exchange, read: ReadRequest): Promise<Tokenized | null> {
  const { model, prompts, truncatedTo, stream, uncontinuable } = read.request;
  // Another engine may have to go on with it, from a prompt that is read again.
  if (stream && uncontinuable === null) return null;
  const facts = model === null ? null : context.owner.model(model);
  const tokenizer = facts === null ? null : context.tokenizers.of(facts.tokenizer);
  if (model === null || facts === null || tokenizer === null || truncatedTo !== null) return null;
  exchange.asksFor(model);
  const turn = new TokenizerTurn();
  exchange.whenGone(() => turn.end());
  let failed = false;
  const noteFailure = (): void => {
    failed = true;
  };
  const readMs = performance.now();
  const reading = readContents(prompts, tokenizer, noteFailure, turn);
  const known = reading instanceof Promise ? await reading : reading;
  if (failed || known.some(({ kind }) => kind !== 'tokens')) return null;
  const namespace = { lora: facts.lora, salt: read.request.cacheSalt };
  const later = async (): Promise<void> => context.intakeSlices.take() ?? undefined;
  const contents = await withHashesAhead(known, context.hasher, facts.blockSizes, namespace, later);
  return { contents, model, facts, readMs, tokensMs: performance.now(), ...read };
}

async function answer(context: FrontContext, exchange: Exchange, read: Tokenized, served: Served): Promise<void> {
  const { answerBudget, config, log, retryBudget } = context;
  const { request, hidesUsage } = read;
  retryBudget.request(performance.now());
  const memory = answerBudget.lease();
  const client = new ClientAnswer(exchange, request.stream ? config.holdMsMax : null, hidesUsage, memory);
  const choices = read.contents.length * request.sequences;
  const placed = new FrontRequest(context, exchange, client, read, choices);
  try {
    await failingInto(client, exchange, log, async () => {
      const running = placed.run(askedOf(context, exchange, read));
      served.number = placed.number;
      await running;
    });
  } finally {
    memory.release();
  }
}

function askedOf({ hasher, traces }: FrontContext, exchange: Exchange, read: Tokenized): AskedRequest {
  const { request, overrides, contents, model, facts } = read;
  const times = { readMs: toSharedMs(read.readMs), tokensMs: toSharedMs(read.tokensMs) };
  const { maxOutputTokens, sequences, stream, cacheSalt, recomputed } = request;
  const namespace = { lora: facts.lora, salt: cacheSalt };
  const prompts = hashContents(contents, hasher, facts.blockSizes, noGuess, namespace);
  const { key } = exchange;
  return {
    requestId: exchange.id,
    sharedMs: toSharedMs(exchange.startedMs),
    model,
    key: key && limitedKey(key),
    request: { maxOutputTokens, sequences, stream },
    overrides,
    prompts: recomputed ? prompts.map((prompt) => ({ ...prompt, recomputed })) : prompts,
    trace: traces ? { ...traceOf(exchange), ...times } : null,
  };
}

function traceOf(exchange: Exchange): SentTrace {
  return {
    method: exchange.request.method ?? '',
    path: exchange.path,
    traceparent: exchange.header('traceparent'),
    tracestate: exchange.header('tracestate'),
  };
}

function account({ owner, traces }: FrontContext, exchange: Exchange, { number, admitted }: Served): void {
  const { id, startedMs, request, path, model, key, limit } = exchange;
  owner.ended(number, {
    requestId: id,
    sharedMs: toSharedMs(startedMs),
    method: request.method ?? '',
    path,
    model,
    key: key?.name ?? null,
    limit,
    status: statusOf(exchange),
    trace: traces && number === null && admitted ? traceOf(exchange) : null,
  });
}
