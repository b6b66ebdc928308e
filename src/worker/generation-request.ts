// Parses the bodies of the completion routes into one checked form.

import { z } from 'zod';
import { JsonText } from '../tokens/exact-json.ts';
import { JsonReader } from '../tokens/json-reader.ts';
import { JsonError } from '../tokens/json-values.ts';
import type { ChatInput } from '../tokens/tokenizer.ts';
import { type AnswerWish, plainWish } from './answer-script.ts';
import { readFormat, readTools, responseFormat } from './answer-wish.ts';
import { malformed, unservable } from './api-error.ts';
import { topLogprobsMax } from './token-logprobs.ts';

/** Most choices per request: prompts x n. */
export const choicesMax = 1024;

export type PromptInput =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'ids'; readonly ids: Uint32Array }
  /** `begun`: the last message's text, which the answer continues; null: the answer is a new message. */
  | { readonly kind: 'chat'; readonly chat: ChatInput; readonly begun: string | null };

export interface GenerationRequest {
  readonly api: 'completions' | 'chat' | 'responses';
  readonly model: string | null;
  /** At least one. */
  readonly prompts: readonly PromptInput[];
  /** Null: as many tokens as fit the context. */
  readonly outputTokensMax: number | null;
  readonly outputTokensMin: number;
  readonly ignoreEos: boolean;
  /** Choices per prompt. */
  readonly n: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
  readonly returnTokenIds: boolean;
  readonly priority: number;
  readonly requestId: string | null;
  readonly salt: string | null;
  /** Prompt logprobs are requested. They are not produced, but the cache is not used. */
  readonly recomputed: boolean;
  /** The answer depends on the prompt alone, not on the request. */
  readonly greedy: boolean;
  /** Alternatives per output token. Null: no logprobs. */
  readonly logprobs: number | null;
  readonly wish: AnswerWish;
}

/** A body both parsed, for its simple fields, and as text, for what a chat template reads. */
export interface JsonBody {
  readonly value: unknown;
  readonly text: string;
}

const count = z.int().min(0);

export const commonFields = {
  model: z.string().nullish(),
  max_tokens: z.int().nullish(),
  min_tokens: count.nullish(),
  ignore_eos: z.boolean().nullish(),
  n: z.int().min(1).max(choicesMax).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({ include_usage: z.boolean().nullish(), continuous_usage_stats: z.boolean().nullish() })
    .nullish(),
  return_token_ids: z.boolean().nullish(),
  priority: z.int().nullish(),
  request_id: z.string().nullish(),
  cache_salt: z.string().min(1).nullish(),
  temperature: z.number().min(0).nullish(),
  prompt_logprobs: z.int().min(-1).nullish(),
  response_format: responseFormat.nullish(),
};

const completionsBody = z.looseObject({
  ...commonFields,
  prompt: z.unknown(),
  logprobs: count.max(topLogprobsMax).nullish(),
});
const chatBody = z.looseObject({
  ...commonFields,
  max_completion_tokens: z.int().nullish(),
  messages: z.array(z.looseObject({})).min(1),
  tools: z.array(z.unknown()).nullish(),
  tool_choice: z.unknown().optional(),
  logprobs: z.boolean().nullish(),
  top_logprobs: count.max(topLogprobsMax).nullish(),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
});

type CommonBody = z.infer<z.ZodObject<typeof commonFields>>;

/** vLLM's default for completions. Chat has none. */
const completionTokensDefault = 16;

/** @throws ApiError 400 */
export function readCompletions(body: unknown): GenerationRequest {
  const fields = check(completionsBody, body);
  return {
    api: 'completions',
    prompts: readPrompts(fields.prompt, 'prompt'),
    outputTokensMax: fields.max_tokens ?? completionTokensDefault,
    ...readCommon(fields),
    logprobs: fields.logprobs ?? null,
    wish: { ...plainWish, format: readFormat(fields.response_format) },
  };
}

/** @throws ApiError 400 */
export function readChat(body: JsonBody): GenerationRequest {
  const fields = check(chatBody, body.value);
  if (typeof fields.top_logprobs === 'number' && fields.logprobs !== true) {
    throw malformed('top_logprobs can only be set when logprobs is true', 'top_logprobs');
  }
  return {
    api: 'chat',
    prompts: [{ kind: 'chat', ...chatInput(fields, body.text) }],
    outputTokensMax: fields.max_completion_tokens ?? fields.max_tokens ?? null,
    ...readCommon(fields),
    logprobs: fields.logprobs === true ? (fields.top_logprobs ?? 0) : null,
    wish: {
      ...readTools(fields.tools, fields.tool_choice),
      afterTool: fields.messages.at(-1)!['role'] === 'tool',
      format: readFormat(fields.response_format),
    },
  };
}

const tokenizeBody = z.looseObject({
  model: z.string().nullish(),
  prompt: z.string().nullish(),
  add_special_tokens: z.boolean().nullish(),
  messages: z.array(z.looseObject({})).min(1).nullish(),
  tools: z.array(z.unknown()).nullish(),
  add_generation_prompt: z.boolean().nullish(),
  continue_final_message: z.boolean().nullish(),
  chat_template_kwargs: z.record(z.string(), z.unknown()).nullish(),
});

export interface TokenizeRequest {
  readonly model: string | null;
  readonly input: { readonly text: string; readonly addSpecialTokens: boolean } | ContinuedChat;
}

/** @throws ApiError 400 */
export function readTokenize(body: JsonBody): TokenizeRequest {
  const fields = check(tokenizeBody, body.value);
  const model = fields.model ?? null;
  if (fields.messages) return { model, input: chatInput({ ...fields, messages: fields.messages }, body.text) };
  if (typeof fields.prompt !== 'string') throw malformed('prompt or messages is required', 'prompt');
  return { model, input: { text: fields.prompt, addSpecialTokens: fields.add_special_tokens ?? true } };
}

const detokenizeBody = z.looseObject({ model: z.string().nullish(), tokens: z.array(count) });

/** @throws ApiError 400 */
export function readDetokenize(body: unknown): { readonly model: string | null; readonly tokens: readonly number[] } {
  const { model, tokens } = check(detokenizeBody, body);
  return { model: model ?? null, tokens };
}

type CommonRequest = Omit<GenerationRequest, 'api' | 'prompts' | 'outputTokensMax' | 'logprobs' | 'wish'>;

export function readCommon(fields: CommonBody): CommonRequest {
  const stream = fields.stream ?? false;
  if (fields.stream_options && !stream) {
    throw malformed('stream_options can only be set when stream is true', 'stream_options');
  }
  const includeUsage = fields.stream_options?.include_usage ?? false;
  return {
    model: fields.model ?? null,
    outputTokensMin: fields.min_tokens ?? 0,
    ignoreEos: fields.ignore_eos ?? false,
    n: fields.n ?? 1,
    stream,
    includeUsage,
    continuousUsage: includeUsage && (fields.stream_options?.continuous_usage_stats ?? false),
    returnTokenIds: fields.return_token_ids ?? false,
    priority: fields.priority ?? 0,
    requestId: fields.request_id ?? null,
    salt: fields.cache_salt ?? null,
    greedy: fields.temperature === 0,
    recomputed: (fields.prompt_logprobs ?? null) !== null,
  };
}

interface ChatFields {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly add_generation_prompt?: boolean | null | undefined;
  readonly continue_final_message?: boolean | null | undefined;
}

/** A chat, and the text that its answer begins with; null: none. */
export type ContinuedChat = Omit<Extract<PromptInput, { kind: 'chat' }>, 'kind'>;

/** @param text body text; its fields are checked already @throws ApiError 400 */
function chatInput(fields: ChatFields, text: string): ContinuedChat {
  const reader = new JsonReader(text);
  try {
    while (!reader.read(Number.POSITIVE_INFINITY));
  } catch (error) {
    if (error instanceof JsonError) throw malformed(`The body: ${error.message}`);
    throw error;
  }
  const json = (name: string): JsonText | null => {
    const member = reader.members.get(name);
    if (member === undefined || member.value === null) return null;
    return new JsonText(text.slice(member.start, member.end), member.value);
  };
  const begun = begunText(fields);
  const messages = json('messages')!;
  const chat = {
    messages: begun === null ? messages : JsonText.of(fields.messages.slice(0, -1)),
    tools: json('tools'),
    addGenerationPrompt: begun !== null || (fields.add_generation_prompt ?? true),
    chatTemplateKwargs: json('chat_template_kwargs'),
  };
  return { chat, begun };
}

/** As in SGLang: the text of the message follows the prompt for a new one. @throws ApiError 400 */
function begunText(fields: ChatFields): string | null {
  if (fields.continue_final_message !== true) return null;
  if (fields.add_generation_prompt ?? true) {
    const message = 'Cannot set both continue_final_message and add_generation_prompt to True.';
    throw malformed(message, 'continue_final_message');
  }
  const { role, content } = fields.messages.at(-1)!;
  if (role === 'assistant' && typeof content === 'string') return content;
  throw malformed('continue_final_message needs a last message of the assistant that is a text', 'messages');
}

/** Parses a text, a list of texts, a list of token ids, or a list of such lists. @param field name of the field */
export function readPrompts(prompt: unknown, field: string): PromptInput[] {
  if (typeof prompt === 'string') return [{ kind: 'text', text: prompt }];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw malformed(`${field} must be a text, token ids, or a list of these that is not empty`, field);
  }
  if (typeof prompt[0] === 'number') return [{ kind: 'ids', ids: tokenIds(prompt, field) }];
  if (prompt.length > choicesMax) throw unservable(`more than ${choicesMax} prompts in one request`, field);
  return prompt.map((item: unknown): PromptInput => {
    return typeof item === 'string' ? { kind: 'text', text: item } : { kind: 'ids', ids: tokenIds(item, field) };
  });
}

function tokenIds(list: unknown, field: string): Uint32Array {
  if (!Array.isArray(list)) throw malformed(`${field} must hold texts or lists of token ids`, field);
  const ids = new Uint32Array(list.length);
  for (let i = 0; i < ids.length; i++) {
    const id: unknown = list[i];
    if (typeof id !== 'number' || id >>> 0 !== id) throw malformed(`${field}[${i}] is not a token id`, field);
    ids[i] = id;
  }
  return ids;
}

export function check<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join('.') ?? '';
  throw malformed(`${field || 'body'}: ${issue?.message}`, field || null);
}
