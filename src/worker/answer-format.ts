// Formats answers field by field like vLLM: stream chunks and plain bodies.

import type { TokenLogprobs } from './token-logprobs.ts';

export type AnswerFinish = 'stop' | 'length' | 'tool_calls';

export interface AnswerHead {
  /** Request id with its prefix. */
  readonly id: string;
  /** Unix time in seconds. */
  readonly createdS: number;
  readonly model: string;
  readonly fingerprint: string;
}

export interface UsageCounts {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** One token of one choice in a stream. */
export interface TokenChunk {
  readonly index: number;
  /** The text as a JSON string. */
  readonly textJson: string;
  /** Null if not requested. */
  readonly tokenId: number | null;
  readonly finishReason: AnswerFinish | null;
  /** Null if not requested. */
  readonly logprobs: TokenLogprobs | null;
  /** Characters of the choice before this token. */
  readonly textOffset: number;
  /** The call whose arguments the text is part of. Null: the text is content. */
  readonly toolCall: ToolCall | null;
  /** Whether this is the first token of the choice. */
  readonly isFirst: boolean;
  /** Prompt ids as JSON in the first chunk of a choice, if requested. Otherwise `null`. */
  readonly promptIdsJson: string;
  /** Running usage, if requested. */
  readonly usage: UsageCounts | null;
  /** Whether this is the last chunk of the stream, with no usage chunk to follow. */
  readonly isLast: boolean;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
}

export interface FinishedChoice {
  readonly index: number;
  /** The text, or the arguments of a tool call. */
  readonly text: string;
  readonly finishReason: AnswerFinish;
  readonly toolCall: ToolCall | null;
  /** Logprobs of each token. Null if not requested. */
  readonly logprobs: readonly TokenLogprobs[] | null;
  /** Null if not requested. */
  readonly tokenIds: readonly number[] | null;
  readonly promptIds: readonly number[] | null;
}

export interface AnswerFormat {
  /** Text before a choice's first token. Empty if the API has no such chunk. */
  opening(index: number, promptIdsJson: string, usage: UsageCounts | null): string;
  token(chunk: TokenChunk): string;
  /** Text after the last token of the last choice. @param choices called only if needed */
  closing(counts: UsageCounts, includeUsage: boolean, choices: () => readonly FinishedChoice[]): string;
  /** Body of an answer that is not streamed. */
  body(choices: readonly FinishedChoice[], counts: UsageCounts): object;
}

const streamEnd = 'data: [DONE]\n\n';

export class CompletionsFormat implements AnswerFormat {
  readonly #head: AnswerHead;
  readonly #start: string;
  readonly #fingerprint: string;

  constructor(head: AnswerHead) {
    this.#head = head;
    this.#start = chunkStart('text_completion', head);
    this.#fingerprint = `,"system_fingerprint":${JSON.stringify(head.fingerprint)}`;
  }

  opening(): string {
    return '';
  }

  token(chunk: TokenChunk): string {
    const finish = quoted(chunk.finishReason);
    const logprobs =
      chunk.logprobs === null ? 'null' : JSON.stringify(listLogprobs([chunk.logprobs], chunk.textOffset));
    return (
      `${this.#start}{"index":${chunk.index},"text":${chunk.textJson},"logprobs":${logprobs},"finish_reason":${finish},` +
      `"stop_reason":null,"prompt_token_ids":${chunk.promptIdsJson},"token_ids":${oneToken(chunk.tokenId)}}]` +
      `${runningUsage(chunk.usage)}${chunk.isLast ? this.#fingerprint : ''}}\n\n`
    );
  }

  closing(counts: UsageCounts, includeUsage: boolean): string {
    if (!includeUsage) return streamEnd;
    const usage = { ...countFields(counts), prompt_tokens_details: { cached_tokens: counts.cachedTokens } };
    return `${this.#start}],"usage":${JSON.stringify(usage)}${this.#fingerprint}}\n\n${streamEnd}`;
  }

  body(choices: readonly FinishedChoice[], counts: UsageCounts): object {
    return {
      ...bodyStart('text_completion', this.#head),
      choices: choices.map((choice) => ({
        index: choice.index,
        text: choice.text,
        logprobs: choice.logprobs === null ? null : listLogprobs(choice.logprobs, 0),
        finish_reason: choice.finishReason,
        stop_reason: null,
        token_ids: choice.tokenIds,
        prompt_logprobs: null,
        prompt_token_ids: choice.promptIds,
        routed_experts: null,
      })),
      ...bodyUsage(counts, this.#head, null),
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    };
  }
}

export class ChatFormat implements AnswerFormat {
  readonly #head: AnswerHead;
  readonly #start: string;
  readonly #fingerprint: string;

  constructor(head: AnswerHead) {
    this.#head = head;
    this.#start = chunkStart('chat.completion.chunk', head);
    this.#fingerprint = `,"system_fingerprint":${JSON.stringify(head.fingerprint)}`;
  }

  opening(index: number, promptIdsJson: string, usage: UsageCounts | null): string {
    return (
      `${this.#start}{"index":${index},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]` +
      `${runningUsage(usage)},"prompt_token_ids":${promptIdsJson},"prompt_text":null}\n\n`
    );
  }

  token(chunk: TokenChunk): string {
    const finish = chunk.finishReason === null ? 'null' : `${quoted(chunk.finishReason)},"stop_reason":null`;
    const logprobs = chunk.logprobs === null ? 'null' : JSON.stringify(chatLogprobs([chunk.logprobs]));
    return (
      `${this.#start}{"index":${chunk.index},"delta":{${chatDelta(chunk)}},"logprobs":${logprobs},` +
      `"finish_reason":${finish},"token_ids":${oneToken(chunk.tokenId)}}]` +
      `${runningUsage(chunk.usage)}${chunk.isLast ? this.#fingerprint : ''}}\n\n`
    );
  }

  closing(counts: UsageCounts, includeUsage: boolean): string {
    if (!includeUsage) return streamEnd;
    const details = { cached_tokens: counts.cachedTokens, created_cache_tokens: 0 };
    const usage = { ...countFields(counts), prompt_tokens_details: details };
    return `${this.#start}],"usage":${JSON.stringify(usage)}${this.#fingerprint}}\n\n${streamEnd}`;
  }

  body(choices: readonly FinishedChoice[], counts: UsageCounts): object {
    return {
      ...bodyStart('chat.completion', this.#head),
      choices: choices.map((choice) => ({
        index: choice.index,
        message: {
          role: 'assistant',
          content: choice.toolCall === null ? choice.text : null,
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          reasoning: null,
          ...(choice.toolCall === null ? {} : { tool_calls: [toolCallField(choice.toolCall, choice.text)] }),
        },
        logprobs: choice.logprobs === null ? null : chatLogprobs(choice.logprobs),
        finish_reason: choice.finishReason,
        stop_reason: null,
        token_ids: choice.tokenIds,
        routed_experts: null,
      })),
      ...bodyUsage(counts, this.#head, 0),
      prompt_logprobs: null,
      prompt_token_ids: choices[0]?.promptIds ?? null,
      prompt_text: null,
      kv_transfer_params: null,
      ec_transfer_params: null,
      metrics: null,
    };
  }
}

function chatDelta({ toolCall, isFirst, textJson }: TokenChunk): string {
  if (toolCall === null) return `"content":${textJson}`;
  const call = isFirst ? `"id":"${toolCall.id}","type":"function",` : '';
  const name = isFirst ? `"name":${JSON.stringify(toolCall.name)},` : '';
  return `"tool_calls":[{"index":0,${call}"function":{${name}"arguments":${textJson}}}]`;
}

function toolCallField({ id, name }: ToolCall, text: string): object {
  return { id, type: 'function', function: { name, arguments: text } };
}

function chatLogprobs(tokens: readonly TokenLogprobs[]): object {
  return { content: tokens.map(({ top, ...token }) => ({ ...token, top_logprobs: top })) };
}

/** Logprobs in the older form of completions. @param offset characters before the first token */
function listLogprobs(tokens: readonly TokenLogprobs[], offset: number): object {
  const offsets: number[] = [];
  let at = offset;
  for (const { bytes, token } of tokens) {
    offsets.push(at);
    at += bytes === null ? 0 : token.length;
  }
  return {
    text_offset: offsets,
    token_logprobs: tokens.map(({ logprob }) => logprob),
    tokens: tokens.map(({ token }) => token),
    // The sampled token is always included.
    top_logprobs: tokens.map(({ top, ...token }) =>
      Object.fromEntries((top.length > 0 ? top : [token]).map((one) => [one.token, one.logprob])),
    ),
  };
}

/** Start of a chunk, up to its first choice. */
function chunkStart(object: string, head: AnswerHead): string {
  return `data: ${JSON.stringify({ ...bodyStart(object, head) }).slice(0, -1)},"choices":[`;
}

function bodyStart(object: string, head: AnswerHead): object {
  return { id: head.id, object, created: head.createdS, model: head.model };
}

function bodyUsage(counts: UsageCounts, head: AnswerHead, createdCacheTokens: number | null): object {
  return {
    service_tier: null,
    system_fingerprint: head.fingerprint,
    usage: {
      ...countFields(counts),
      prompt_tokens_details: {
        cached_tokens: counts.cachedTokens,
        created_cache_tokens: createdCacheTokens,
        multimodal_tokens: null,
      },
      completion_tokens_details: null,
    },
  };
}

function countFields({ promptTokens, completionTokens }: UsageCounts): object {
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens: completionTokens,
  };
}

/** Running usage as JSON. Without cached tokens, which only the usage chunk reports. */
function runningUsage(counts: UsageCounts | null): string {
  if (counts === null) return '';
  return `,"usage":${JSON.stringify({ ...countFields(counts), completion_tokens_details: null })}`;
}

function quoted(text: string | null): string {
  return text === null ? 'null' : `"${text}"`;
}

function oneToken(id: number | null): string {
  return id === null ? 'null' : `[${id}]`;
}
