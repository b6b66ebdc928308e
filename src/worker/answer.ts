// One answer in progress: its choices in the engine and its HTTP response.

import type { ServerResponse } from 'node:http';
import { assert } from '../core/assert.ts';
import type { EngineRequest } from '../sim/index.ts';
import type { AnswerFinish, AnswerFormat, FinishedChoice, ToolCall, UsageCounts } from './answer-format.ts';
import type { GenerationRequest } from './generation-request.ts';
import type { OutputVocabulary, PieceReader } from './output-vocabulary.ts';
import { logprobsOf, type TokenLogprobs } from './token-logprobs.ts';

/** Unread bytes of a slow client above which the connection is dropped. */
export const unreadBytesMax: number = 16 * 1024 * 1024;

/** One sequence of an answer. */
export interface Choice {
  readonly answer: Answer;
  /** Index in the answer: prompt index x n + sequence. */
  readonly index: number;
  readonly request: EngineRequest;
  readonly reader: PieceReader;
  /** The call whose arguments the text is. Null: the text is content. */
  readonly toolCall: ToolCall | null;
  /** Characters sent so far. */
  sentCharacters: number;
}

export class Answer {
  readonly #generation: GenerationRequest;
  readonly #format: AnswerFormat;
  readonly #response: ServerResponse;
  readonly #vocabulary: OutputVocabulary;
  readonly choices: readonly Choice[];
  #unfinished: number;
  #opened = false;
  /** Chunks of the current step, not sent yet. */
  #unsent = '';

  /** @param requests in order of choice @param toolCalls per choice; null: none */
  constructor(
    generation: GenerationRequest,
    format: AnswerFormat,
    response: ServerResponse,
    vocabulary: OutputVocabulary,
    requests: readonly EngineRequest[],
    toolCalls: readonly (ToolCall | null)[],
  ) {
    this.#generation = generation;
    this.#format = format;
    this.#response = response;
    this.#vocabulary = vocabulary;
    this.#unfinished = requests.length;
    this.choices = requests.map((request, index) => ({
      answer: this,
      index,
      request,
      reader: vocabulary.reader(request),
      toolCall: toolCalls[index] ?? null,
      sentCharacters: 0,
    }));
  }

  get isFinished(): boolean {
    return this.#unfinished === 0;
  }

  /** The engine has accepted the request. A stream starts now, before its first token. */
  begin(): void {
    if (!this.#generation.stream) return;
    this.#response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    this.#response.flushHeaders();
  }

  /**
   * Adds a choice's tokens of the last step. The next `flush` sends them: as one chunk, like vLLM with speculative
   * decoding, or as one chunk each if the client asked for ids or logprobs.
   */
  tokens(choice: Choice): void {
    const { request } = choice;
    if (request.finishReason !== null) this.#unfinished--;
    if (!this.#generation.stream) return;
    if (!this.#opened) this.#open();
    const { tokenCount, sampledTokens } = request;
    const { returnTokenIds, logprobs } = this.#generation;
    const perChunk = returnTokenIds || logprobs !== null ? 1 : sampledTokens;
    for (let at = tokenCount - sampledTokens; at < tokenCount; at += perChunk) this.#chunk(choice, at, perChunk);
  }

  #chunk(choice: Choice, from: number, count: number): void {
    const { request } = choice;
    const { returnTokenIds, includeUsage, continuousUsage, api } = this.#generation;
    const id = request.tokens[from]!;
    const isNewest = from + count === request.tokenCount;
    const isFirst = from === request.promptTokens;
    let { text, json } = choice.reader.next(id);
    for (let at = from + 1; at < from + count; at++) text += choice.reader.next(request.tokens[at]!).text;
    if (count > 1) json = JSON.stringify(text);
    this.#unsent += this.#format.token({
      index: choice.index,
      textJson: json,
      tokenId: returnTokenIds ? id : null,
      finishReason: isNewest ? this.#finishOf(choice) : null,
      logprobs: this.#logprobs(id, text),
      textOffset: choice.sentCharacters,
      toolCall: choice.toolCall,
      isFirst,
      promptIdsJson: api === 'completions' && isFirst ? this.#promptIdsJson(request) : 'null',
      usage: continuousUsage ? countsOf(request) : null,
      isLast: isNewest && this.#unfinished === 0 && !includeUsage,
    });
    choice.sentCharacters += text.length;
  }

  /** Sends the tokens of the current step. Ends the response after the last token. */
  flush(): void {
    const response = this.#response;
    if (this.#unfinished > 0) {
      if (this.#unsent === '') return;
      response.write(this.#unsent);
      this.#unsent = '';
      if (response.writableLength > unreadBytesMax) response.destroy();
    } else if (this.#generation.stream) {
      const choices = (): FinishedChoice[] => this.#finishedChoices();
      response.end(this.#unsent + this.#format.closing(this.#usage(), this.#generation.includeUsage, choices));
    } else {
      const body = JSON.stringify(this.#format.body(this.#finishedChoices(), this.#usage()));
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
      response.end(body);
    }
  }

  #open(): void {
    this.#opened = true;
    for (const { index, request } of this.choices) {
      const usage = this.#generation.continuousUsage ? { ...countsOf(request), completionTokens: 0 } : null;
      this.#unsent += this.#format.opening(index, this.#promptIdsJson(request), usage);
    }
  }

  #promptIdsJson(request: EngineRequest): string {
    return this.#generation.returnTokenIds ? JSON.stringify(promptIds(request)) : 'null';
  }

  /** As in OpenAI's API, a call that the client requested by name ends with `stop`. */
  #finishOf({ request, toolCall }: Choice): AnswerFinish | null {
    const { toolChoice } = this.#generation.wish;
    const isOwnCall = toolCall !== null && typeof toolChoice === 'string';
    return isOwnCall && request.finishReason === 'stop' ? 'tool_calls' : request.finishReason;
  }

  #logprobs(id: number, text: string): TokenLogprobs | null {
    const { logprobs } = this.#generation;
    return logprobs === null ? null : logprobsOf(this.#vocabulary, id, text, logprobs);
  }

  #finishedChoices(): FinishedChoice[] {
    return this.choices.map((choice) => this.#finished(choice));
  }

  #finished(choice: Choice): FinishedChoice {
    const { request, index, toolCall } = choice;
    const finishReason = this.#finishOf(choice);
    assert(finishReason !== null, 'a choice of an answer in one piece has ended');
    const outputIds = Array.from(request.tokens.subarray(request.promptTokens, request.tokenCount));
    const reader = this.#vocabulary.reader(request);
    const texts = outputIds.map((id) => reader.next(id).text);
    const { returnTokenIds, logprobs } = this.#generation;
    return {
      index,
      text: texts.join(''),
      finishReason,
      toolCall,
      logprobs: logprobs === null ? null : outputIds.map((id, at) => this.#logprobs(id, texts[at]!)!),
      tokenIds: returnTokenIds ? outputIds : null,
      promptIds: returnTokenIds ? promptIds(request) : null,
    };
  }

  /** Counts each prompt once, with the cached tokens of its first sequence. */
  #usage(): UsageCounts {
    let promptTokens = 0;
    let cachedTokens = 0;
    let completionTokens = 0;
    for (const { request, index } of this.choices) {
      completionTokens += request.outputTokens;
      if (index % this.#generation.n !== 0) continue;
      promptTokens += request.promptTokens;
      cachedTokens += request.cachedTokens;
    }
    return { promptTokens, cachedTokens, completionTokens };
  }
}

function countsOf(request: EngineRequest): UsageCounts {
  return {
    promptTokens: request.promptTokens,
    completionTokens: request.outputTokens,
    cachedTokens: request.cachedTokens,
  };
}

function promptIds(request: EngineRequest): number[] {
  return Array.from(request.tokens.subarray(0, request.promptTokens));
}
