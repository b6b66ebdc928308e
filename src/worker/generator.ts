// Starts an answer for a checked request: tokenizes, applies limits, submits, and aborts when the client leaves.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../core/random.ts';
import type { EngineRequestSpec } from '../sim/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';
import { Answer } from './answer.ts';
import { type AnswerFormat, type AnswerHead, ChatFormat, CompletionsFormat, type ToolCall } from './answer-format.ts';
import { scriptFor } from './answer-script.ts';
import { unknownModel, unservable } from './api-error.ts';
import type { EngineRuntime } from './engine-runtime.ts';
import { type ContinuedChat, choicesMax, type GenerationRequest, type PromptInput } from './generation-request.ts';
import type { OutputVocabulary, Script } from './output-vocabulary.ts';

/** Mean of the drawn answer lengths, if the client sets no length. */
const answerTokensMean = 128;
const fingerprint = 'kvoyant-sim';
/** Characters of scripted JSON in the answers to one prompt. */
const scriptedTextMax = 1024 * 1024;
const idPrefixes = { completions: 'cmpl-', chat: 'chatcmpl-', responses: 'resp_' };
/** Overrides the drawn answer length. */
const outputLengthHeader = 'x-mock-output-len';

/** One sequence of an answer before its submission. */
interface Draft {
  readonly spec: EngineRequestSpec;
  readonly script: Script | null;
  readonly toolCall: ToolCall | null;
}

export interface GeneratorContext {
  readonly model: string;
  readonly tokenizer: Tokenizer;
  readonly vocabulary: OutputVocabulary;
  readonly runtime: EngineRuntime;
  readonly apiOverheadMs: number;
  readonly seed: number;
}

export class Generator {
  readonly #context: GeneratorContext;
  readonly #random: Random;

  /** @param random source of ids for requests without one */
  constructor(context: GeneratorContext, random: Random) {
    this.#context = context;
    this.#random = random;
  }

  /**
   * Resolves when the answer has started or the client is gone. The engine's steps do the rest.
   * @param formatOf default: the format of the request's API
   * @throws ApiError
   */
  async answer(
    generation: GenerationRequest,
    request: IncomingMessage,
    response: ServerResponse,
    formatOf: (head: AnswerHead) => AnswerFormat = (head) =>
      generation.api === 'chat' ? new ChatFormat(head) : new CompletionsFormat(head),
  ): Promise<void> {
    const { model, runtime, vocabulary, apiOverheadMs } = this.#context;
    if (generation.model !== null && generation.model !== model) throw unknownModel(generation.model);
    checkRank(header(request, 'x-data-parallel-rank'));
    if (generation.prompts.length * generation.n > choicesMax) {
      throw unservable(`More than ${choicesMax} answers in one request.`, 'n');
    }
    const prompts = await Promise.all(generation.prompts.map((prompt) => this.encode(prompt)));
    if (apiOverheadMs > 0) await sleep(apiOverheadMs);
    if (response.destroyed) return;

    const id = header(request, 'x-request-id') ?? generation.requestId ?? this.#newId();
    const random = new Random(seedOf(this.#context.seed, id));
    const outputLength = readOutputLength(header(request, outputLengthHeader));
    const drafts: Draft[] = [];
    for (const prompt of prompts) drafts.push(...(await this.#drafts(prompt, generation, random, outputLength)));
    if (response.destroyed) return;
    const head = {
      id: `${idPrefixes[generation.api]}${id}`,
      createdS: Math.floor(Date.now() / 1000),
      model,
      fingerprint,
    };
    const requests = runtime.submit(drafts.map(({ spec }) => spec));
    for (const [index, { script }] of drafts.entries()) {
      if (script !== null) vocabulary.follow(requests[index]!, script);
    }
    const toolCalls = drafts.map(({ toolCall }) => toolCall);
    const answer = new Answer(generation, formatOf(head), response, vocabulary, requests, toolCalls);
    response.once('close', () => {
      if (!answer.isFinished) runtime.abort(answer);
    });
    runtime.begin(answer);
  }

  /** @throws ApiError 400 */
  async encode(prompt: PromptInput): Promise<Uint32Array> {
    const { tokenizer } = this.#context;
    switch (prompt.kind) {
      case 'text':
        return tokenizer.encode(prompt.text);
      case 'chat':
        return this.#encodeChat(prompt);
      case 'ids': {
        const unknown = prompt.ids.find((id) => id >= tokenizer.vocabSize);
        if (unknown !== undefined) throw unservable(`Token id ${unknown} is out of vocabulary.`, 'prompt');
        return prompt.ids;
      }
    }
  }

  async #encodeChat({ chat, begun }: ContinuedChat): Promise<Uint32Array> {
    const { tokenizer } = this.#context;
    const { ids } = await tokenizer.encodeChat(chat);
    if (begun === null) return ids;
    return Uint32Array.from([...ids, ...(await tokenizer.encode(begun, { addSpecialTokens: false }))]);
  }

  /** The n sequences of one prompt. @throws ApiError 400 */
  async #drafts(
    prompt: Uint32Array,
    generation: GenerationRequest,
    random: Random,
    outputLength: number | null,
  ): Promise<Draft[]> {
    const { runtime, vocabulary } = this.#context;
    const outputTokensMax = outputBound(prompt.length, generation, runtime.engine.contextTokensMax);
    const drafts: Draft[] = [];
    let scripted = 0;
    for (let index = 0; index < generation.n; index++) {
      const drawn = Math.max(generation.outputTokensMin, 1 + Math.floor(random.exponential(answerTokensMean)));
      const ownLength = outputLength ?? (generation.ignoreEos ? Number.POSITIVE_INFINITY : drawn);
      const { priority, salt, recomputed, wish } = generation;
      const seed = random.uint32();
      const wanted = scriptFor(wish, random);
      scripted += wanted?.text.length ?? 0;
      if (scripted > scriptedTextMax) throw unservable('n is too large for JSON of this size.', 'n');
      const ignoreEos = generation.ignoreEos || outputLength !== null;
      const greedy = generation.greedy
        ? vocabulary.greedyScript(prompt, Math.min(outputTokensMax, outputLength ?? outputTokensMax), {
            ...generation,
            ignoreEos,
          })
        : null;
      const script = wanted === null ? greedy : await vocabulary.script(wanted.text);
      const stopAfterTokens = script?.ids.length ?? ownLength;
      drafts.push({
        spec: { prompt, outputTokensMax, stopAfterTokens, priority, salt, recomputed, seed },
        script,
        toolCall: wanted === null || wanted.toolName === null ? null : { id: callId(random), name: wanted.toolName },
      });
    }
    return drafts;
  }

  #newId(): string {
    return hexId(this.#random);
  }
}

function callId(random: Random): string {
  return `call_${hexId(random)}`;
}

function hexId(random: Random): string {
  return Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('');
}

/** @throws ApiError 400 */
function outputBound(promptTokens: number, { outputTokensMax }: GenerationRequest, contextTokensMax: number): number {
  const room = contextTokensMax - promptTokens;
  if (room < 0) {
    throw unservable(
      `The prompt has ${promptTokens} tokens; this model's maximum context length is ${contextTokensMax} tokens.`,
      'prompt',
    );
  }
  const bound = outputTokensMax === null ? room : outputTokensMax;
  if (room === 0 || bound < 1) {
    throw unservable(`max_tokens must be at least 1, got ${Math.min(room, bound)}.`, 'max_tokens');
  }
  if (bound > room) {
    throw unservable(
      `max_tokens is too large: ${bound}. This model's maximum context length is ${contextTokensMax} tokens and the ` +
        `request has ${promptTokens} input tokens.`,
      'max_tokens',
    );
  }
  return bound;
}

/** Only rank 0 exists here. A value that is not a number is ignored, as in vLLM. @throws ApiError 400 */
function checkRank(rank: string | null): void {
  if (rank !== null && /^[+-]?\d+$/.test(rank.trim()) && Number(rank) !== 0) {
    throw unservable(`data_parallel_rank ${Number(rank)} is out of range [0, 1).`);
  }
}

/** @throws ApiError 400 */
function readOutputLength(length: string | null): number | null {
  if (length === null) return null;
  if (!/^[1-9]\d*$/.test(length))
    throw unservable(`${outputLengthHeader} must be a positive integer.`, outputLengthHeader);
  return Number(length);
}

function header(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === 'string' ? value : null;
}

/** FNV-1a hash of the id, seeded with the engine's seed. */
function seedOf(engineSeed: number, id: string): number {
  let hash = (0x811c9dc5 ^ engineSeed) | 0;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  return hash;
}
