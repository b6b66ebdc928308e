// Reads of an inference request what routing needs, once; everything else in the body is the engine's business.

import type { ChatInput, ChatMessage } from '../../tokens/tokenizer.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { priorityMax, priorityMin } from './client-rights.ts';

export type InferenceApi = 'chat' | 'completions';

export interface ChatPrompt {
  readonly kind: 'chat';
  readonly chat: ChatInput;
}

export interface TextPrompt {
  readonly kind: 'text';
  readonly text: string;
  readonly addSpecialTokens: boolean;
}

export interface TokensPrompt {
  readonly kind: 'tokens';
  readonly tokens: Uint32Array;
}

/** Vectors in place of tokens, as base64. */
export interface EmbeddingsPrompt {
  readonly kind: 'embeddings';
  readonly bytes: number;
}

export type PromptInput = ChatPrompt | TextPrompt | TokensPrompt | EmbeddingsPrompt;

export interface InferenceRequest {
  readonly api: InferenceApi;
  /** Null: the client named none. */
  readonly model: string | null;
  readonly prompts: readonly PromptInput[];
  /** Sequences sampled from each prompt. */
  readonly sequences: number;
  readonly stream: boolean;
  readonly maxOutputTokens: number | null;
  readonly cacheSalt: string | null;
  /** What the engine cuts each prompt down to; `context`: to what the model takes; null: it does not. */
  readonly truncatedTo: number | 'context' | null;
  /** The engine computes the whole prompt, whatever it holds: logprobs of it are wanted. */
  readonly recomputed: boolean;
  /** Of those that wait for a worker, lower goes first; as engines take it. */
  readonly priority: number;
  /** What the client names as common to requests that belong together, told apart by the field; null: nothing. */
  readonly session: string | null;
}

/** Prompts times sequences of one request. */
export const choicesMax = 4096;

const tokenIdMax = 0xffffffff;
/** What vLLM's completions API takes where the client says nothing. */
const completionTokensDefault = 16;

/** The fields that are read, not yet checked; a client may send any type, and null for absent. */
interface RawRequest {
  readonly model?: unknown;
  readonly messages?: unknown;
  readonly prompt?: unknown;
  readonly tools?: unknown;
  readonly n?: unknown;
  readonly stream?: unknown;
  readonly max_tokens?: unknown;
  readonly max_completion_tokens?: unknown;
  readonly cache_salt?: unknown;
  readonly add_special_tokens?: unknown;
  readonly add_generation_prompt?: unknown;
  readonly continue_final_message?: unknown;
  readonly chat_template?: unknown;
  readonly chat_template_kwargs?: unknown;
  readonly documents?: unknown;
  readonly reasoning_effort?: unknown;
  readonly mm_processor_kwargs?: unknown;
  readonly prompt_embeds?: unknown;
  readonly truncate_prompt_tokens?: unknown;
  readonly prompt_logprobs?: unknown;
  readonly echo?: unknown;
  readonly logprobs?: unknown;
  readonly priority?: unknown;
  readonly prompt_cache_key?: unknown;
  readonly user?: unknown;
}

type FieldName = keyof RawRequest;

/** @throws RequestError 400 naming the field that is wrong. */
export function readInferenceRequest(api: InferenceApi, body: Buffer): InferenceRequest {
  const fields = parseJsonObject(body);
  const prompts = api === 'chat' ? [readChat(fields)] : readPrompts(fields);
  const sequences = readInteger(fields, 'n', 1, choicesMax) ?? 1;
  if (prompts.length * sequences > choicesMax) {
    throw invalid('n', `${prompts.length} prompts of ${sequences} choices exceed the limit of ${choicesMax} choices`);
  }
  const limit =
    (api === 'chat' ? readInteger(fields, 'max_completion_tokens', 0, tokenIdMax) : null) ??
    readInteger(fields, 'max_tokens', 0, tokenIdMax);
  return {
    api,
    model: readText(fields, 'model'),
    prompts,
    sequences,
    stream: readFlag(fields, 'stream') ?? false,
    maxOutputTokens: limit ?? (api === 'completions' ? completionTokensDefault : null),
    cacheSalt: readText(fields, 'cache_salt'),
    truncatedTo: readTruncation(fields),
    recomputed: wantsPromptLogprobs(api, fields),
    priority: readInteger(fields, 'priority', priorityMin, priorityMax) ?? 0,
    session: readSession(fields),
  };
}

function readTruncation(fields: RawRequest): number | 'context' | null {
  const tokens = readInteger(fields, 'truncate_prompt_tokens', -1, tokenIdMax);
  return tokens === -1 ? 'context' : tokens;
}

/** `echo` asks for them too: of completions that want logprobs, and of every chat, as vLLM takes it. */
function wantsPromptLogprobs(api: InferenceApi, fields: RawRequest): boolean {
  if ((fields.prompt_logprobs ?? null) !== null) return true;
  return fields.echo === true && (api === 'chat' || (fields.logprobs ?? null) !== null);
}

/** `prompt_cache_key` is about caching, `user` only about who asks: the first comes first. */
function readSession(fields: RawRequest): string | null {
  for (const name of ['prompt_cache_key', 'user'] as const) {
    const value = readText(fields, name);
    if (value !== null && value !== '') return `${name}:${value}`;
  }
  return null;
}

/** @throws RequestError 400 if the body is not a JSON object. */
export function parseJsonObject(body: Buffer): RawRequest {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw new RequestError(400, 'invalid_json', `the body is not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RequestError(400, 'invalid_json', 'the body must be a JSON object');
  }
  return value;
}

function readChat(fields: RawRequest): ChatPrompt {
  const messages = fields.messages;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalid('messages', 'messages must be a non-empty array');
  }
  for (const [index, message] of (messages as unknown[]).entries()) {
    if (typeof message !== 'object' || message === null || typeof (message as { role?: unknown }).role !== 'string') {
      throw invalid(`messages[${index}]`, `messages[${index}] must be an object with a role`);
    }
  }
  const tools = fields.tools ?? null;
  if (tools !== null && !Array.isArray(tools)) throw invalid('tools', 'tools must be an array');
  const chat: ChatInput = {
    messages: messages as ChatMessage[],
    tools: tools === null || tools.length === 0 ? null : tools,
    addGenerationPrompt: readFlag(fields, 'add_generation_prompt') ?? true,
    chatTemplateKwargs: readTemplateVariables(fields),
    addSpecialTokens: readFlag(fields, 'add_special_tokens') ?? false,
    continueFinalMessage: readFlag(fields, 'continue_final_message') ?? false,
    chatTemplate: fields.chat_template ?? null,
    mmProcessorKwargs: fields.mm_processor_kwargs ?? null,
  };
  return { kind: 'chat', chat };
}

/** The engines hand the template some fields of the request as if they were among its `chat_template_kwargs`. */
function readTemplateVariables(fields: RawRequest): ChatInput['chatTemplateKwargs'] {
  const given = fields.chat_template_kwargs ?? null;
  if (given !== null && (typeof given !== 'object' || Array.isArray(given))) {
    throw invalid('chat_template_kwargs', 'chat_template_kwargs must be an object');
  }
  const { documents = null, reasoning_effort: effort = null } = fields;
  if (documents === null && effort === null) return given as ChatInput['chatTemplateKwargs'];
  return { ...given, ...(documents !== null && { documents }), ...(effort !== null && { reasoning_effort: effort }) };
}

function readPrompts(fields: RawRequest): PromptInput[] {
  const embedded = readEmbeddings(fields);
  if (embedded.length > 0 && (fields.prompt ?? '') === '') return embedded;
  return [...embedded, ...readWrittenPrompts(fields)];
}

/** What is wrong about it, the engine says: most engines take none. */
function readEmbeddings(fields: RawRequest): EmbeddingsPrompt[] {
  const embeddings = fields.prompt_embeds ?? [];
  return (Array.isArray(embeddings) ? embeddings : [embeddings]).map((single: unknown) => ({
    kind: 'embeddings',
    bytes: typeof single === 'string' ? single.length : 0,
  }));
}

function readWrittenPrompts(fields: RawRequest): PromptInput[] {
  const prompt = fields.prompt;
  const addSpecialTokens = readFlag(fields, 'add_special_tokens') ?? true;
  if (typeof prompt === 'string') return [{ kind: 'text', text: prompt, addSpecialTokens }];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw invalid('prompt', 'prompt must be a string, an array of strings, of token ids, or of arrays of token ids');
  }
  if (typeof prompt[0] === 'number') return [readTokens(prompt, 'prompt')];
  if (prompt.length > choicesMax) throw invalid('prompt', `prompt holds more than ${choicesMax} prompts`);
  return (prompt as unknown[]).map((single, index) => {
    if (typeof single === 'string') return { kind: 'text', text: single, addSpecialTokens };
    if (Array.isArray(single)) return readTokens(single, `prompt[${index}]`);
    throw invalid(`prompt[${index}]`, `prompt[${index}] must be a string or an array of token ids`);
  });
}

function readTokens(ids: readonly unknown[], name: string): TokensPrompt {
  if (ids.length === 0) throw invalid(name, `${name} holds no token`);
  const tokens = new Uint32Array(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id > tokenIdMax) {
      throw invalid(`${name}[${i}]`, `${name}[${i}] is no token id`);
    }
    tokens[i] = id;
  }
  return { kind: 'tokens', tokens };
}

function readInteger(fields: RawRequest, name: FieldName, min: number, max: number): number | null {
  const value = fields[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalid(name, `${name} must be an integer from ${min} to ${max}`);
  }
  return value;
}

function readText(fields: RawRequest, name: FieldName): string | null {
  const value = fields[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'string') throw invalid(name, `${name} must be a string`);
  return value;
}

function readFlag(fields: RawRequest, name: FieldName): boolean | null {
  const value = fields[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'boolean') throw invalid(name, `${name} must be true or false`);
  return value;
}

function invalid(param: string, message: string): RequestError {
  return new RequestError(400, 'invalid_value', message, param);
}
