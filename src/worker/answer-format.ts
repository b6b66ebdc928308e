// The texts of which answers are made, field for field as vLLM writes them: chunks of a stream and plain bodies.

import type { FinishReason } from '../sim/index.ts';

export interface AnswerHead {
  /** With its prefix. */
  readonly id: string;
  /** Seconds since the epoch. */
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
  /** Null: not asked for. */
  readonly tokenId: number | null;
  readonly finishReason: FinishReason | null;
  /** Prompt ids as JSON, in the first chunk of a choice, where asked for; else `null`. */
  readonly promptIdsJson: string;
  /** Running usage where asked for. */
  readonly usage: UsageCounts | null;
  /** The last chunk of the stream with a choice, and no usage chunk follows. */
  readonly isLast: boolean;
}

export interface FinishedChoice {
  readonly index: number;
  readonly text: string;
  readonly finishReason: FinishReason;
  /** Null: not asked for. */
  readonly tokenIds: readonly number[] | null;
  readonly promptIds: readonly number[] | null;
}

export interface AnswerFormat {
  /** What goes ahead of a choice's first token; empty where the API has no such chunk. */
  opening(index: number, promptIdsJson: string, usage: UsageCounts | null): string;
  token(chunk: TokenChunk): string;
  /** The chunk behind all choices. */
  usage(counts: UsageCounts): string;
  /** The answer in one piece. */
  body(choices: readonly FinishedChoice[], counts: UsageCounts): object;
}

export const streamEnd = 'data: [DONE]\n\n';

export function answerFormat(api: 'completions' | 'chat', head: AnswerHead): AnswerFormat {
  return api === 'chat' ? new ChatFormat(head) : new CompletionsFormat(head);
}

class CompletionsFormat implements AnswerFormat {
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
    return (
      `${this.#start}{"index":${chunk.index},"text":${chunk.textJson},"logprobs":null,"finish_reason":${finish},` +
      `"stop_reason":null,"prompt_token_ids":${chunk.promptIdsJson},"token_ids":${oneToken(chunk.tokenId)}}]` +
      `${runningUsage(chunk.usage)}${chunk.isLast ? this.#fingerprint : ''}}\n\n`
    );
  }

  usage(counts: UsageCounts): string {
    const usage = { ...countFields(counts), prompt_tokens_details: { cached_tokens: counts.cachedTokens } };
    return `${this.#start}],"usage":${JSON.stringify(usage)}${this.#fingerprint}}\n\n`;
  }

  body(choices: readonly FinishedChoice[], counts: UsageCounts): object {
    return {
      ...bodyStart('text_completion', this.#head),
      choices: choices.map((choice) => ({
        index: choice.index,
        text: choice.text,
        logprobs: null,
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

class ChatFormat implements AnswerFormat {
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
    return (
      `${this.#start}{"index":${chunk.index},"delta":{"content":${chunk.textJson}},"logprobs":null,` +
      `"finish_reason":${finish},"token_ids":${oneToken(chunk.tokenId)}}]` +
      `${runningUsage(chunk.usage)}${chunk.isLast ? this.#fingerprint : ''}}\n\n`
    );
  }

  usage(counts: UsageCounts): string {
    const details = { cached_tokens: counts.cachedTokens, created_cache_tokens: 0 };
    const usage = { ...countFields(counts), prompt_tokens_details: details };
    return `${this.#start}],"usage":${JSON.stringify(usage)}${this.#fingerprint}}\n\n`;
  }

  body(choices: readonly FinishedChoice[], counts: UsageCounts): object {
    return {
      ...bodyStart('chat.completion', this.#head),
      choices: choices.map((choice) => ({
        index: choice.index,
        message: {
          role: 'assistant',
          content: choice.text,
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          reasoning: null,
        },
        logprobs: null,
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

/** Everything of a chunk up to its first choice. */
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

/** Never with cached tokens: only the usage chunk tells those. */
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
