// A tokenizer that asks an engine (vLLM's /tokenize and /detokenize), if nothing else can tell the ids.

import { factsOf } from './chat-facts.ts';
import { chatQuestion } from './chat-question.ts';
import { type AskEngine, type EngineQuestions, idMax } from './engine-questions.ts';
import {
  type ChatInput,
  type EncodedChat,
  type EncodeOptions,
  type RenderedChat,
  type Tokenizer,
  TokenizerError,
} from './tokenizer.ts';

export interface EngineTokenizerOptions {
  /** The model's name at the engine. */
  readonly model: string;
  readonly ask: AskEngine;
  /** Shared by the tokenizers of all models of the same engines. */
  readonly questions: EngineQuestions;
}

/**
 * Exact, since the engine itself answers, but needs a round trip unless an equal question is cached. The chat template
 * is unknown here, so `renderChat` always fails.
 */
export class EngineTokenizer implements Tokenizer {
  readonly name: string;
  /** Unknown: the largest possible. */
  readonly vocabSize: number = idMax + 1;
  readonly #model: string;
  readonly #ask: AskEngine;
  readonly #questions: EngineQuestions;

  constructor({ model, ask, questions }: EngineTokenizerOptions) {
    this.name = `engine:${model}`;
    this.#model = model;
    this.#ask = ask;
    this.#questions = questions;
  }

  /** The ids are shared between callers: read only. */
  encode(text: string, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    return this.#tokenIds(`"prompt":${JSON.stringify(text)},"add_special_tokens":${options?.addSpecialTokens ?? true}`);
  }

  async decode(ids: ArrayLike<number>): Promise<string> {
    const question = JSON.stringify({ model: this.#model, tokens: Array.from(ids) });
    const answer = await this.#questions.ask('/detokenize', question, this.#ask);
    const text = (answer as { prompt?: unknown } | null)?.prompt;
    if (typeof text !== 'string')
      throw new TokenizerError('engine-answer-invalid', `${this.name} answered without a prompt`);
    return text;
  }

  renderChat(_chat: ChatInput): RenderedChat {
    throw new TokenizerError('chat-template-missing', `${this.name} does not tell its chat template`, 'messages');
  }

  /**
   * Returns no ids for a chat with non-text parts: only the template knows where its certain part ends, and asking
   * would make the engine fetch the images twice.
   */
  encodeChat(chat: ChatInput): EncodedChat | Promise<EncodedChat> {
    const { otherParts } = factsOf(chat);
    if (otherParts > 0) return { ids: new Uint32Array(0), exact: false, restTokens: null, otherParts };
    const ids = this.#tokenIds(chatQuestion(chat));
    return ids instanceof Promise ? ids.then((done) => ({ ids: done, exact: true })) : { ids, exact: true };
  }

  /** Does nothing: the questions are shared. */
  async close(): Promise<void> {}

  /** @param members of the question, except the model, as JSON without braces */
  #tokenIds(members: string): Uint32Array | Promise<Uint32Array> {
    return this.#questions.tokenIds(`{"model":${JSON.stringify(this.#model)},${members}}`, this.#ask);
  }
}
