// One answer on its way to the client: the choices that the engine works on, and the response that they fill.

import type { ServerResponse } from 'node:http';
import { assert } from '../core/assert.ts';
import type { EngineRequest } from '../sim/index.ts';
import { type AnswerFormat, type FinishedChoice, streamEnd, type UsageCounts } from './answer-format.ts';
import type { GenerationRequest } from './generation-request.ts';
import { Detokenizer, type OutputVocabulary } from './output-vocabulary.ts';

/** Text that waits for a client that does not read; beyond it the connection is dropped. */
export const unreadBytesMax: number = 16 * 1024 * 1024;

/** One sequence of an answer. */
export interface Choice {
  readonly answer: Answer;
  /** In the answer: prompt index x n + sequence. */
  readonly index: number;
  readonly request: EngineRequest;
  readonly detokenizer: Detokenizer;
}

export class Answer {
  readonly #generation: GenerationRequest;
  readonly #format: AnswerFormat;
  readonly #response: ServerResponse;
  readonly #vocabulary: OutputVocabulary;
  readonly choices: readonly Choice[];
  #unfinished: number;
  #opened = false;
  /** Chunks of the current step. */
  #unsent = '';

  /** @param requests in order of choice */
  constructor(
    generation: GenerationRequest,
    format: AnswerFormat,
    response: ServerResponse,
    vocabulary: OutputVocabulary,
    requests: readonly EngineRequest[],
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
      detokenizer: new Detokenizer(vocabulary),
    }));
  }

  get isFinished(): boolean {
    return this.#unfinished === 0;
  }

  /** The engine accepted the request: a stream opens now, ahead of its first token. */
  begin(): void {
    if (!this.#generation.stream) return;
    this.#response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    this.#response.flushHeaders();
  }

  /** Takes the newest token of a choice; it goes out with the next `flush`. */
  token(choice: Choice): void {
    const { request } = choice;
    if (request.finishReason !== null) this.#unfinished--;
    if (!this.#generation.stream) return;
    if (!this.#opened) this.#open();
    const { returnTokenIds, includeUsage, continuousUsage, api } = this.#generation;
    const id = request.tokens[request.tokenCount - 1]!;
    this.#unsent += this.#format.token({
      index: choice.index,
      textJson: choice.detokenizer.next(id).json,
      tokenId: returnTokenIds ? id : null,
      finishReason: request.finishReason,
      promptIdsJson: api === 'completions' && request.outputTokens === 1 ? this.#promptIdsJson(request) : 'null',
      usage: continuousUsage ? countsOf(request) : null,
      isLast: this.#unfinished === 0 && !includeUsage,
    });
  }

  /** Sends what the current step has brought; after the last token it ends the response. */
  flush(): void {
    const response = this.#response;
    if (this.#unfinished > 0) {
      if (this.#unsent === '') return;
      response.write(this.#unsent);
      this.#unsent = '';
      if (response.writableLength > unreadBytesMax) response.destroy();
    } else if (this.#generation.stream) {
      const usage = this.#generation.includeUsage ? this.#format.usage(this.#usage()) : '';
      response.end(this.#unsent + usage + streamEnd);
    } else {
      const body = JSON.stringify(
        this.#format.body(
          this.choices.map((choice) => this.#finished(choice)),
          this.#usage(),
        ),
      );
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

  #finished({ request, index }: Choice): FinishedChoice {
    assert(request.finishReason !== null, 'an answer in one piece is sent when all its choices have ended');
    const outputIds = Array.from(request.tokens.subarray(request.promptTokens, request.tokenCount));
    const detokenizer = new Detokenizer(this.#vocabulary);
    const { returnTokenIds } = this.#generation;
    return {
      index,
      text: outputIds.map((id) => detokenizer.next(id).text).join(''),
      finishReason: request.finishReason,
      tokenIds: returnTokenIds ? outputIds : null,
      promptIds: returnTokenIds ? promptIds(request) : null,
    };
  }

  /** A prompt counts once, and its cached tokens as its first sequence found them. */
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
