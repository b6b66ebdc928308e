// Reads the fields of an inference request that routing needs; all other fields are left to the engine.

import { createHash } from 'node:crypto';
import { chatFacts } from '../../tokens/chat-facts.ts';
import { JsonText } from '../../tokens/exact-json.ts';
import { isJsonObject, type Json, JsonFloat, type JsonList } from '../../tokens/json-values.ts';
import { modelLengthMax } from '../../wire/json-model.ts';
import type { RequestError } from '../../wire/openai-error.ts';
import type { ChatPrompt, EmbeddingsPrompt, PromptInput, TokensPrompt } from '../prompts/prompt-input.ts';
import { priorityMax, priorityMin } from './client-rights.ts';
import { whatKeepsFromContinuing } from './continuable.ts';
import { readMessages, readResponses } from './converted-request.ts';
import { type Fields, inlineBytesMax, invalid, RequestFields } from './request-fields.ts';

export type InferenceApi = 'chat' | 'completions' | 'responses' | 'messages';

export interface InferenceRequest {
  readonly api: InferenceApi;
  /** Null if the client named none. */
  readonly model: string | null;
  /** The body names the model more than once. */
  readonly repeatsModel: boolean;
  readonly prompts: readonly PromptInput[];
  /** Sequences sampled from each prompt. */
  readonly sequences: number;
  readonly stream: boolean;
  readonly maxOutputTokens: number | null;
  readonly cacheSalt: string | null;
  /** Length to which the engine truncates each prompt; `context`: the model's context length; null: none. */
  readonly truncatedTo: number | 'context' | null;
  /** The engine computes the whole prompt whatever it has cached, because prompt logprobs are wanted. */
  readonly recomputed: boolean;
  /** Lower goes first among requests that wait for a worker, as in engines. */
  readonly priority: number;
  /** The body has a `priority`, valid or not. */
  readonly statesPriority: boolean;
  /** Key shared by related requests, prefixed with the field's name; null if the client gave none. */
  readonly session: string | null;
  /** The prompt is a chat that the gateway made of it, as engines do. */
  readonly converted: boolean;
  /** Id of the response that it continues, which one engine holds; null: it continues none. */
  readonly previousResponse: string | null;
  /** The engine may act by itself (built-in tools): sending the request to a second engine could repeat that. */
  readonly usesTools: boolean;
  /**
   * What keeps another engine from going on with its stream: a field of the body, the `api`, or the setting `continue`,
   * which is off; null: nothing does.
   */
  readonly uncontinuable: string | null;
}

/** A request without its prompts: their text would be kept as long as the answer takes. */
export type PlacedRequest = InferenceRequest & { readonly prompts: readonly [] };

/** Changes a copy, since members behind a spread cost a microsecond each. */
export function withoutPrompts(request: InferenceRequest, uncontinuable: string | null): PlacedRequest {
  const copy: { -readonly [Name in keyof InferenceRequest]: InferenceRequest[Name] } = { ...request };
  copy.prompts = [];
  copy.uncontinuable = uncontinuable;
  return copy as PlacedRequest;
}

/** Prompts times sequences of one request. */
export const choicesMax = 4096;
/** Messages of one chat. */
export const messagesMax = 20_000;
/** Salts are hashed in one step. */
export const cacheSaltLengthMax = 65_536;

const tokenIdMax = 0xffffffff;
/** The default of vLLM's completions API. */
const completionTokensDefault = 16;

/**
 * @param turn settles in a later turn of the event loop; called between two parts of a large body
 * @param continues whether another engine may go on with a stream
 * @param hasControls false: the body has no control characters
 * @returns the request itself for bodies of usual size
 * @throws RequestError 400 that names the field, directly or as a rejection
 */
export function readInferenceRequest(
  api: InferenceApi,
  body: Buffer,
  turn: () => Promise<void>,
  continues = false,
  hasControls = true,
): InferenceRequest | Promise<InferenceRequest> {
  const fields = new RequestFields(body, { tokenLists: api === 'completions', hasControls }, true);
  if (body.length > inlineBytesMax) return readInTurns(api, fields, turn, continues);
  fields.read(Number.POSITIVE_INFINITY);
  return readFields(api, fields, continues);
}

async function readInTurns(
  api: InferenceApi,
  fields: RequestFields,
  turn: () => Promise<void>,
  continues: boolean,
): Promise<InferenceRequest> {
  await fields.readInTurns(turn);
  return readFields(api, fields, continues);
}

/** As `readInferenceRequest`, in steps of a few milliseconds, apart from what can't be done in parts. */
export function* inferenceSteps(
  api: InferenceApi,
  body: Buffer,
  continues: boolean,
): Generator<void, InferenceRequest> {
  const fields = new RequestFields(body, { tokenLists: api === 'completions' }, true);
  yield;
  yield* fields.steps();
  return readFields(api, fields, continues);
}

function readFields(api: InferenceApi, fields: RequestFields, continues: boolean): InferenceRequest {
  switch (api) {
    case 'chat':
      return readGeneration(api, fields, [readChat(fields)], continues);
    case 'completions':
      return readGeneration(api, fields, readPrompts(fields), continues);
    case 'responses':
    case 'messages':
      return readConverted(api, fields);
  }
}

function readGeneration(
  api: 'chat' | 'completions',
  fields: RequestFields,
  prompts: PromptInput[],
  continues: boolean,
): InferenceRequest {
  const sequences = fields.integer('n', 1, choicesMax) ?? 1;
  if (prompts.length * sequences > choicesMax) {
    throw invalid('n', `${prompts.length} prompts of ${sequences} choices exceed the limit of ${choicesMax} choices`);
  }
  const limit =
    (api === 'chat' ? fields.integer('max_completion_tokens', 0, tokenIdMax) : null) ??
    fields.integer('max_tokens', 0, tokenIdMax);
  const common = readCommon(fields);
  return {
    api,
    prompts,
    sequences,
    maxOutputTokens: limit ?? (api === 'completions' ? completionTokensDefault : null),
    truncatedTo: readTruncation(fields),
    recomputed: wantsPromptLogprobs(api, fields),
    session: readSession(fields),
    converted: false,
    previousResponse: null,
    usesTools: false,
    uncontinuable: continues ? whatKeepsFromContinuing(api, fields, prompts) : 'continue',
    ...common,
  };
}

function readConverted(api: 'responses' | 'messages', fields: RequestFields): InferenceRequest {
  const isResponses = api === 'responses';
  const { prompt, previousResponse, usesTools } = isResponses ? readResponses(fields) : readMessages(fields);
  const truncation = fields.value('truncation');
  const common = readCommon(fields);
  return {
    api,
    prompts: [prompt],
    sequences: 1,
    maxOutputTokens: fields.integer(isResponses ? 'max_output_tokens' : 'max_tokens', 0, tokenIdMax),
    truncatedTo: isResponses && fields.has('truncation') && truncation !== 'disabled' ? 'context' : null,
    recomputed: false,
    session: isResponses ? readSession(fields) : readUserId(fields),
    converted: prompt.kind === 'chat',
    previousResponse,
    usesTools,
    uncontinuable: 'api',
    ...common,
  };
}

/** What all APIs name alike. */
function readCommon(
  fields: RequestFields,
): Pick<InferenceRequest, 'model' | 'repeatsModel' | 'stream' | 'cacheSalt' | 'priority' | 'statesPriority'> {
  return {
    model: shortText(fields, 'model', modelLengthMax),
    repeatsModel: fields.repeats('model'),
    stream: fields.flag('stream') ?? false,
    cacheSalt: shortText(fields, 'cache_salt', cacheSaltLengthMax),
    priority: fields.integer('priority', priorityMin, priorityMax) ?? 0,
    statesPriority: fields.has('priority'),
  };
}

function shortText(fields: RequestFields, name: string, lengthMax: number): string | null {
  const text = fields.text(name);
  if (text === null || text.length <= lengthMax) return text;
  throw invalid(name, `${name} is longer than ${lengthMax} characters`);
}

function readTruncation(fields: RequestFields): number | 'context' | null {
  const tokens = fields.integer('truncate_prompt_tokens', -1, tokenIdMax);
  return tokens === -1 ? 'context' : tokens;
}

/** `echo` implies prompt logprobs for completions with `logprobs`, and for every chat, as in vLLM. */
function wantsPromptLogprobs(api: InferenceApi, fields: RequestFields): boolean {
  if (fields.value('prompt_logprobs') !== null) return true;
  return fields.value('echo') === true && (api === 'chat' || fields.value('logprobs') !== null);
}

/** `prompt_cache_key` wins: it is about caching, while `user` only names the user. */
function readSession(fields: RequestFields): string | null {
  for (const name of ['prompt_cache_key', 'user']) {
    const value = fields.text(name);
    if (value !== null && value !== '') return `${name}:${shortKey(value)}`;
  }
  return null;
}

/** Longer keys of sessions are known by their digest: they are compared and hashed again and again. */
const sessionCharsMax = 1024;

function shortKey(key: string): string {
  return key.length <= sessionCharsMax ? key : createHash('sha256').update(key).digest('base64url');
}

/** Agents put their session into Anthropic's `metadata.user_id`. */
function readUserId(fields: RequestFields): string | null {
  const metadata = fields.value('metadata');
  const id = isJsonObject(metadata) ? (metadata.get('user_id') ?? null) : null;
  return typeof id === 'string' && id !== '' ? `user_id:${shortKey(id)}` : null;
}

/** @throws RequestError 400 naming the field */
export function readChat(fields: Fields): ChatPrompt {
  const messages = fields.value('messages');
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid('messages', 'messages must be a non-empty array');
  }
  if (messages.length > messagesMax) {
    throw invalid('messages', `messages holds more than ${messagesMax} messages (messagesMax)`);
  }
  for (const [index, message] of (messages as JsonList).entries()) {
    if (!isJsonObject(message) || typeof message.get('role') !== 'string') {
      throw invalid(`messages[${index}]`, `messages[${index}] must be an object with a role`);
    }
  }
  const tools = fields.value('tools');
  if (tools !== null && !Array.isArray(tools)) throw invalid('tools', 'tools must be an array');
  const hasTools = tools !== null && (tools as JsonList).length > 0;
  return {
    kind: 'chat',
    chat: {
      messages: fields.json('messages')!,
      facts: chatFacts(messages, hasTools),
      tools: hasTools ? fields.json('tools') : null,
      addGenerationPrompt: fields.flag('add_generation_prompt') ?? true,
      chatTemplateKwargs: readTemplateVariables(fields),
      addSpecialTokens: fields.flag('add_special_tokens') ?? false,
      continueFinalMessage: fields.flag('continue_final_message') ?? false,
      chatTemplate: fields.json('chat_template'),
      mmProcessorKwargs: fields.json('mm_processor_kwargs'),
    },
  };
}

/**
 * Adds the fields that engines pass to the template as if they were in `chat_template_kwargs`. An effort of reasoning
 * enables thinking.
 */
function readTemplateVariables(fields: Fields): JsonText | null {
  const given = fields.value('chat_template_kwargs');
  if (given !== null && !isJsonObject(given)) {
    throw invalid('chat_template_kwargs', 'chat_template_kwargs must be an object');
  }
  const added: string[] = [];
  for (const name of ['documents', 'reasoning_effort']) {
    const text = fields.json(name);
    if (text !== null) added.push(`"${name}":${text.text}`);
  }
  const effort = fields.value('reasoning_effort');
  if (effort !== null && !given?.has('enable_thinking')) added.push(`"enable_thinking":${effort !== 'none'}`);
  const text = fields.json('chat_template_kwargs');
  if (added.length === 0) return text;
  // Of two members with the same name the last one counts.
  const members = text === null ? '' : text.text.slice(1, -1).trim();
  return new JsonText(`{${[...(members === '' ? [] : [members]), ...added].join(',')}}`);
}

function readPrompts(fields: RequestFields): PromptInput[] {
  const embedded = readEmbeddings(fields);
  const isEmpty = [null, ''].includes(fields.value('prompt') as string | null);
  if (embedded.length > 0 && isEmpty) return embedded;
  return [...embedded, ...readWrittenPrompts(fields)];
}

/** Validation is left to the engine: most take none. */
function readEmbeddings(fields: RequestFields): EmbeddingsPrompt[] {
  const embeddings = fields.value('prompt_embeds');
  if (embeddings === null) return [];
  const list = Array.isArray(embeddings) ? (embeddings as JsonList) : [embeddings];
  if (list.length > choicesMax) throw invalid('prompt_embeds', `prompt_embeds holds more than ${choicesMax} prompts`);
  return list.map((single) => ({ kind: 'embeddings', bytes: typeof single === 'string' ? single.length : 0 }));
}

function readWrittenPrompts(fields: RequestFields): PromptInput[] {
  const prompt: Json | Uint32Array = fields.value('prompt');
  const addSpecialTokens = fields.flag('add_special_tokens') ?? true;
  if (typeof prompt === 'string') return [{ kind: 'text', text: prompt, addSpecialTokens }];
  if (isTokenList(prompt)) return [{ kind: 'tokens', tokens: prompt }];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw invalid('prompt', 'prompt must be a string, an array of strings, of token ids, or of arrays of token ids');
  }
  const list = prompt as JsonList;
  const isNumber = (value: Json | undefined): boolean =>
    typeof value === 'number' || typeof value === 'bigint' || value instanceof JsonFloat;
  if (isNumber(list[0])) return [readTokens(list, 'prompt')];
  if (list.length > choicesMax) throw invalid('prompt', `prompt holds more than ${choicesMax} prompts`);
  return list.map((single, index) => {
    if (typeof single === 'string') return { kind: 'text', text: single, addSpecialTokens };
    if (isTokenList(single)) return { kind: 'tokens', tokens: single };
    if (Array.isArray(single)) return readTokens(single as JsonList, `prompt[${index}]`);
    throw invalid(`prompt[${index}]`, `prompt[${index}] must be a string or an array of token ids`);
  });
}

function isTokenList(value: Json | Uint32Array): value is Uint32Array {
  return value instanceof Uint32Array;
}

/** @param name of the field, for errors @throws RequestError 400 */
export function readTokens(ids: JsonList, name: string): TokensPrompt {
  if (ids.length === 0) throw invalid(name, `${name} is empty`);
  const tokens = new Uint32Array(ids.length);
  for (const [i, given] of ids.entries()) {
    const id = given instanceof JsonFloat ? given.value : given;
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > tokenIdMax) throw notAToken(name, i);
    tokens[i] = id;
  }
  return { kind: 'tokens', tokens };
}

function notAToken(name: string, index: number): RequestError {
  return invalid(`${name}[${index}]`, `${name}[${index}] is not a token id`);
}
