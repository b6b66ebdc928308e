// Handles an inference request: reads, tokenizes, places and relays it, with retries.

import { factsOf } from '../../tokens/chat-facts.ts';
import { TokenMemory } from '../../tokens/token-memory.ts';
import type { TokenizerError } from '../../tokens/tokenizer.ts';
import { TokenizerTurn } from '../../tokens/tokenizer-turn.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { StreamSplice } from '../../wire/stream-splice.ts';
import { continuesIn } from '../config/continuing-pools.ts';
import type { AnswerLease } from '../exchange/answer-budget.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { asRequestError } from '../exchange/http-reply.ts';
import { renamedJson } from '../exchange/renamed-body.ts';
import { readBody } from '../exchange/request-body.ts';
import type { Pool } from '../pools/pool.ts';
import type { Pools, ResolvedModel } from '../pools/pools.ts';
import type { HeldResponse } from '../pools/response-holders.ts';
import { withHashesAhead, withHashesInstead } from '../prompts/hash-ahead.ts';
import { leastKnown, type PromptContent, truncated, unclaimed } from '../prompts/prompt-content.ts';
import { readContents } from '../prompts/prompt-tokens.ts';
import { hashing } from './admission-applicant.ts';
import { type Booked, bookOf, type Conversion } from './attempt-book.ts';
import type { RelayOutcome } from './attempt-outcome.ts';
import { type Attempt, addressOf, answerBySome, answerHeaders, upstreamHeaders } from './attempts.ts';
import { type BodyToSend, isChunked, wholeBody } from './body-edits.ts';
import { ClientAnswer, failingInto } from './client-answer.ts';
import { type ContinuableStream, continuedBytesMax, goOnWhileCut } from './continuation.ts';
import type { InferenceContext } from './inference-context.ts';
import { InferenceWatch } from './inference-watch.ts';
import { drawKey, overRoutes } from './over-routes.ts';
import { type ReadRequest, readRequest } from './read-request.ts';
import { relay } from './relay.ts';
import { type InferenceApi, type InferenceRequest, type PlacedRequest, withoutPrompts } from './request-intake.ts';
import type { RoutingOverrides } from './routing-overrides.ts';
import { type ShadowRequest, shadowOf } from './shadow-request.ts';
import type { Tries } from './tries.ts';

/** The parts of a request that are the same in every attempt. */
interface Intake extends Booked, Omit<ReadRequest, 'request'> {
  readonly request: PlacedRequest;
  readonly overrides: RoutingOverrides;
  readonly contents: readonly PromptContent[];
  /** With the name of the model that the client used; null: another engine can't go on with the answer. */
  readonly sentBody: BodyToSend | null;
  /** The prompt is a list of token ids. */
  readonly hasTokenIds: boolean;
  /** The engine that holds the response that it continues is not known. */
  readonly asksAround: boolean;
}

/** Times that a prompt is tokenized while its pool changes to one with another tokenizer. */
const tokenizingsMax = 3;

const tokenMemory = new TokenMemory();

/** Answers one request. @throws RequestError if nothing has been sent and the client must get an error */
export async function answerInference(context: InferenceContext, exchange: Exchange, api: InferenceApi): Promise<void> {
  const body = await readBody(exchange.request, context.config.bodyBytesMax, exchange.lease);
  const read = body === null ? null : await readRequest(context, exchange, api, body);
  const intake = read === null ? null : await readIntake(context, exchange, read);
  if (read === null || intake === null) return;
  const shadow = shadowOf(context, exchange, intake, read.request.prompts);
  const { route } = intake;
  const key = drawKey(read.overrides, exchange.id);
  // Prompts are kept for the time of the answer only where another pool may have to turn them into tokens.
  const mayMove = route !== null && [...context.pools.routes.candidates(route.asked, key)].length > 1;
  const again = mayMove ? (): Promise<Intake | null> => readIntake(context, exchange, read) : null;
  return answerIntake(context, exchange, intake, shadow, again);
}

/** @param again reads the request for the pool that its name leads to now; null: that is always the same */
async function answerIntake(
  context: InferenceContext,
  exchange: Exchange,
  first: Intake,
  shadow: ShadowRequest | null,
  again: (() => Promise<Intake | null>) | null,
): Promise<void> {
  let intake = first;
  context.retryBudget.request(performance.now());
  const { request, hidesUsage } = intake;
  const memory = context.answerBudget.lease();
  const holdMsMax = request.stream ? context.config.holdMsMax : null;
  const textMemory = context.answerBudget.spareLease();
  const splice = spliceOf(first, textMemory);
  const answer = new ClientAnswer(exchange, holdMsMax, hidesUsage, memory, splice);
  const serve = async (one: Intake, tries: Tries): Promise<void> => {
    intake = one;
    const serveBy: ContinuableStream<Intake>['serve'] = (some, tried) =>
      answerBySome(context, exchange, some, tries, (attempt) => send(context, exchange, answer, some, attempt), tried);
    const answered = await serveBy(one);
    if (splice === null || answered?.outcome.kind !== 'interrupted') return;
    await goOnWhileCut(
      context,
      exchange,
      continuable(context, exchange, answer, splice, one, serveBy),
      tries,
      answered,
    );
  };
  let failure: unknown = null;
  try {
    await failingInto(answer, exchange, context.log, () => overRoutes(exchange, first, again, serve));
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    memory.release();
    textMemory.release();
    shadow?.realEnded(failure === null ? exchange.response.statusCode : asRequestError(failure).status);
    context.metrics.routes.count(intake);
    recordTraffic(context, exchange, intake);
  }
}

/** Null: another engine can't go on with the stream. */
function spliceOf({ request, overrides }: Intake, hold: AnswerLease): StreamSplice | null {
  const { api, stream, uncontinuable } = request;
  if (!stream || uncontinuable !== null || overrides.pin !== null || !isChunked(api)) return null;
  return new StreamSplice({ api, bytesMax: continuedBytesMax, hold });
}

function continuable(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  splice: StreamSplice,
  intake: Intake,
  serve: ContinuableStream<Intake>['serve'],
): ContinuableStream<Intake> {
  const { pool, model, request, contents, sentBody, hasTokenIds } = intake;
  const [content] = contents;
  const api = isChunked(request.api) ? request.api : 'chat';
  return {
    ...{ answer, splice, api, serve },
    allowed: () => continuesIn(context.config, pool.named ? pool.name : null),
    body: wholeBody(sentBody ?? intake),
    maxOutputTokens: request.maxOutputTokens,
    promptTokens: content?.kind === 'tokens' ? content.tokens.length : null,
    encode: hasTokenIds
      ? (text) => pool.tokens.forModel(model)?.encode(text, { addSpecialTokens: false }) ?? null
      : null,
    again: async (body) => {
      const read = await readRequest(context, exchange, api, body);
      return read === null ? null : readIntake(context, exchange, read, true);
    },
  };
}

/** The client already has its answer: a failed recording must not affect it. */
function recordTraffic({ recorder, log }: InferenceContext, exchange: Exchange, intake: Intake): void {
  try {
    recorder?.record(exchange, intake);
  } catch (error) {
    log.error({ requestId: exchange.id, err: error }, 'request not recorded');
  }
}

/** @param keepsTokens false: mostly only their hashes are kept @returns null if the client is gone @throws RequestError */
async function readIntake(
  context: InferenceContext,
  exchange: Exchange,
  read: ReadRequest,
  keepsTokens = false,
): Promise<Intake | null> {
  const { recorder, pools } = context;
  const resolved = resolvedFor(pools, exchange, read);
  const { route } = resolved;
  // A recording hashes them in another way, and the pool of a copy may.
  const isCopied = route !== null && pools.routes.find(route.asked)?.shadow !== undefined;
  const tokenizing = new TokenizerTurn(keepsTokens || recorder !== null || isCopied ? null : tokenMemory);
  exchange.whenGone(() => tokenizing.end());
  try {
    return await tokenizedIntake(context, exchange, read, resolved, tokenizing);
  } finally {
    tokenizing.idsRead();
  }
}

async function tokenizedIntake(
  context: InferenceContext,
  exchange: Exchange,
  read: ReadRequest,
  resolvedFirst: ResolvedModel,
  tokenizing: TokenizerTurn,
): Promise<Intake | null> {
  const { tokenizerFailures, hasher } = context;
  const { request } = read;
  let resolved = resolvedFirst;
  const asked = resolved.route?.asked ?? resolved.model;
  exchange.asksFor(asked);
  const { trace } = exchange;
  // The rest of an answer is no request of its own.
  if (exchange.record === null) trace?.asks({ ...request, model: asked });
  const noteTokens = (error: TokenizerError): void => tokenizerFailures.note(error, exchange.id, performance.now());
  let conversion: ReturnType<typeof conversionOf> = null;
  let contents: readonly PromptContent[] = [];
  for (let round = 1; ; round++) {
    const { pool, model } = resolved;
    const readMs = trace === null ? 0 : performance.now();
    conversion = conversionOf(context, pool, request);
    const tokens = conversion === 'given-up' ? null : pool.tokens.forModel(model);
    const reading = readContents(request.prompts, tokens, noteTokens, tokenizing);
    contents = reading instanceof Promise ? await reading : reading;
    trace?.tokenized(readMs, performance.now(), leastKnown(contents));
    if (exchange.gone) return null;
    const hashed = hashedAhead(context, resolved, request, contents);
    contents = hashed instanceof Promise ? await hashed : hashed;
    if (exchange.gone) return null;
    // Resolved again: workers may have come and gone during tokenization.
    resolved = resolvedFor(context.pools, exchange, read);
    if (round === tokenizingsMax || resolved.pool.tokens.agreesWith(pool.tokens)) break;
  }
  const { pool, model } = resolved;
  const held = heldResponse(resolved, exchange, request);
  const whole = asTaken(resolved, request, held === null ? contents : contents.map((one) => following(held, one)));
  const namespace = { lora: resolved.lora, salt: request.cacheSalt };
  const blockSizes = pool.router.blockSizes();
  const taken = tokenizing.lends ? withHashesInstead(whole, hasher, blockSizes, namespace) : whole;
  const key = exchange.key?.name ?? null;
  const continues = continuesIn(context.config, pool.named ? pool.name : null);
  const uncontinuable = continues ? request.uncontinuable : 'continue';
  const isHeld = held !== null && read.overrides.pin === null;
  const renamed = renamedRead(read, model);
  return {
    request: withoutPrompts(request, uncontinuable),
    overrides: isHeld ? { ...read.overrides, pin: held.worker.id } : read.overrides,
    isHeld,
    hidesUsage: read.hidesUsage,
    body: renamed.body,
    edit: renamed.edit,
    modelAt: renamed.modelAt,
    sentBody: uncontinuable === null ? { body: read.body, edit: read.edit } : null,
    hasTokenIds: request.prompts[0]?.kind === 'tokens',
    asksAround: request.previousResponse !== null && held === null,
    actsOnce: request.usesTools,
    conversion: conversion === 'given-up' ? null : conversion,
    keeps: (id, worker, usage) => {
      const usedTokens = usage === null ? 0 : usage.promptTokens + usage.completionTokens;
      pool.responses.remember(id, { worker, model, key, tokens: usedTokens });
    },
    known: leastKnown(taken),
    hashed: hashing(resolved, request, taken, hasher),
    contents: taken,
    choices: taken.length * request.sequences,
    learn: ({ promptTokens }) => pool.learnLengths(taken, promptTokens),
    ...resolved,
  };
}

function hashedAhead(
  { hasher, intakeSlices }: InferenceContext,
  { pool, lora }: ResolvedModel,
  { cacheSalt: salt }: InferenceRequest,
  contents: readonly PromptContent[],
): ReturnType<typeof withHashesAhead> {
  const turn = async (): Promise<void> => intakeSlices.take() ?? undefined;
  return withHashesAhead(contents, hasher, pool.router.blockSizes(), { lora, salt }, turn);
}

/** The body with the engine's name of the model, and where it names it. */
function renamedRead(read: ReadRequest, model: string): Pick<ReadRequest, 'body' | 'edit' | 'modelAt'> {
  const { modelAt, request } = read;
  if (request.model === null || request.model === model) return read;
  const body = wholeBody(read);
  const renamed = renamedJson(body, request.model, model, modelAt);
  if (!modelAt) return { body: renamed, edit: null, modelAt };
  return {
    body: renamed,
    edit: null,
    modelAt: { start: modelAt.start, end: modelAt.end + renamed.length - body.length },
  };
}

/** Null: the prompt is the client's own. `given-up`: engines convert such requests otherwise. */
function conversionOf(
  { metrics }: Pick<InferenceContext, 'metrics'>,
  pool: Pool,
  { api, converted, prompts, usesTools }: InferenceRequest,
): Conversion | null | 'given-up' {
  const [prompt] = prompts;
  if (!converted || prompt?.kind !== 'chat') return null;
  const kind = [api, ...factsOf(prompt.chat).features].join(' ');
  if (!pool.conversions.converts(kind)) return 'given-up';
  // Each of the engine's own turns counts its prompt again.
  const counted = (matches: boolean): void => {
    if (usesTools) return;
    pool.conversions.note(kind, matches);
    metrics.conversionChecks.inc({ api, result: matches ? 'equal' : 'different' });
  };
  return { counted };
}

/** A function of its own: a closure in `readIntake` would keep the prompts as long as the answer takes. */
function resolvedFor(pools: Pools, exchange: Exchange, { request, overrides }: ReadRequest): ResolvedModel {
  const drawn = pools.resolve(request.model, drawKey(overrides, exchange.id));
  return holding(pools, drawn, exchange, request) ?? drawn;
}

/** Of the targets of a name, the one whose pool holds the response that the request continues; null: it is unknown. */
function holding(
  pools: Pools,
  { route }: ResolvedModel,
  { key }: Exchange,
  { previousResponse: id }: InferenceRequest,
): ResolvedModel | null {
  if (route === null || id === null) return null;
  for (const target of pools.reachable(route.asked)) {
    const held = target.pool.responses.find(id, key?.name ?? null);
    if (held?.model === target.model) return target;
  }
  return null;
}

/** @returns null if the request continues no response, or it is unknown which engine holds it @throws RequestError 404 */
function heldResponse(
  { pool, model }: ResolvedModel,
  exchange: Exchange,
  { previousResponse: id }: InferenceRequest,
): HeldResponse | null {
  if (id === null) return null;
  const key = exchange.key?.name ?? null;
  if (pool.responses.isForeign(id, key)) {
    const message = `there is no response ${JSON.stringify(id)}`;
    throw new RequestError(404, 'response_not_found', message, 'previous_response_id');
  }
  const held = pool.responses.find(id, key);
  return held?.worker.engine.lists(model) ? held : null;
}

/** The prompt begins with the response that it continues, whose tokens only the engine knows. */
function following({ tokens }: HeldResponse, content: PromptContent): PromptContent {
  return content.kind === 'beginning' ? unclaimed({ ...content, restTokens: content.restTokens + tokens }) : content;
}

/** The prompts as the engine will see them: truncated if the request asks for it. */
function asTaken(
  { pool, model }: ResolvedModel,
  { truncatedTo }: InferenceRequest,
  contents: readonly PromptContent[],
): readonly PromptContent[] {
  const tokensMax = truncatedTo === 'context' ? pool.contextTokens(model) : truncatedTo;
  return tokensMax === null ? contents : contents.map((content) => truncated(content, tokensMax, pool.lengthGuess));
}

/** Whether another engine may go on with a stream, and if not, why. */
function continueHeader({ request, overrides }: Intake): string[] {
  if (!request.stream || request.uncontinuable === 'continue') return [];
  const why = request.uncontinuable ?? (overrides.pin === null ? null : 'pin');
  return ['x-kvoyant-continue', why === null ? 'yes' : `no; ${why}`];
}

/** Settles when the attempt has ended and its bookings are released. */
async function send(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  intake: Intake,
  attempt: Attempt,
): Promise<RelayOutcome> {
  const memory = context.answerBudget.lease();
  try {
    return await relayTo(context, exchange, answer, intake, attempt, memory);
  } finally {
    memory.release();
  }
}

function relayTo(
  context: InferenceContext,
  exchange: Exchange,
  answer: ClientAnswer,
  intake: Intake,
  attempt: Attempt,
  memory: AnswerLease,
): Promise<RelayOutcome> {
  const { placed } = attempt;
  const { worker } = placed;
  const { engine } = worker;
  const { request, choices } = intake;
  const report = bookOf(context, exchange, intake, attempt);
  const onToken = engine.calls.token.bind(engine.calls);
  const { asksAround } = intake;
  const continues = intake.continues !== undefined;
  const watch = new InferenceWatch({ report, memory, choices, api: request.api, asksAround, continues, onToken });
  const target = {
    engine,
    stream: request.stream,
    method: 'POST',
    path: exchange.path + exchange.query,
    headers: upstreamHeaders(exchange, addressOf(worker), exchange.trace?.headers ?? null),
    body: intake.body,
    edit: intake.edit,
    extraHeaders: [...answerHeaders(exchange, intake, placed), ...continueHeader(intake)],
  };
  return relay(exchange, answer, target, watch);
}
