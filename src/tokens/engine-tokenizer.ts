// A tokenizer that asks an engine (vLLM's /tokenize and /detokenize), for where nothing else can tell the ids.
import { createHash } from 'node:crypto';
import { ByteLru } from './byte-lru.ts';
import {
  type ChatInput,
  type EncodedChat,
  type EncodeOptions,
  type RenderedChat,
  type Tokenizer,
  TokenizerError,
} from './tokenizer.ts';

/** What the engine answered; `body` is the parsed JSON, null if it is none. */
export interface EngineAnswer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Sends a POST with a JSON body to a path of an engine that serves the model; rejects if no answer came, and when the
 * signal aborts.
 */
export type AskEngine = (path: '/tokenize' | '/detokenize', body: object, signal: AbortSignal) => Promise<EngineAnswer>;

export interface EngineTokenizerOptions {
  /** The model's name, as the engine knows it. */
  readonly model: string;
  readonly ask: AskEngine;
  /** An answer that takes longer counts as none. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Memory of the answers that are kept. Default 32 MiB. */
  readonly cacheBytesMax?: number | undefined;
  /** Questions open at a time; one more fails with `queue-full`. Default 256. */
  readonly questionsMax?: number | undefined;
}

/** Map entry, key and array header of one answer, about. */
const entryOverheadBytes = 384;
/** No vocabulary comes near it. */
const idMax = 0xffff_fff0;

/**
 * Exact, since the engine itself answers, but a round trip away. Equal questions are asked once, however many wait for
 * the answer. What the template makes of a chat is not known here, so `renderChat` always fails.
 */
export class EngineTokenizer implements Tokenizer {
  readonly name: string;
  /** Unknown: the largest that ids can be. */
  readonly vocabSize: number = idMax + 1;
  readonly #model: string;
  readonly #ask: AskEngine;
  readonly #timeoutMs: number;
  readonly #questionsMax: number;
  readonly #answers: ByteLru<Uint32Array>;
  readonly #open = new Map<string, Promise<Uint32Array>>();
  readonly #closing = new AbortController();
  #questions = 0;

  constructor(options: EngineTokenizerOptions) {
    this.name = `engine:${options.model}`;
    this.#model = options.model;
    this.#ask = options.ask;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#questionsMax = options.questionsMax ?? 256;
    const bytesMax = options.cacheBytesMax ?? 32 * 1024 * 1024;
    this.#answers = new ByteLru(bytesMax, (key, ids) => entryOverheadBytes + key.length * 2 + ids.byteLength);
  }

  /** Memory of the answers kept. */
  get cacheBytes(): number {
    return this.#answers.bytes;
  }

  /** The ids are shared between callers: read only. */
  encode(text: string, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    return this.#idsOf({ prompt: text, add_special_tokens: options?.addSpecialTokens ?? true });
  }

  async decode(ids: ArrayLike<number>): Promise<string> {
    const answer = await this.#question('/detokenize', { model: this.#model, tokens: Array.from(ids) });
    const text = (answer as { prompt?: unknown } | null)?.prompt;
    if (typeof text !== 'string') throw new TokenizerError('engine-answer-invalid', `${this.name} answered no prompt`);
    return text;
  }

  renderChat(_chat: ChatInput): RenderedChat {
    throw new TokenizerError('chat-template-missing', `${this.name} does not tell its chat template`, 'messages');
  }

  /** A chat with a part that is no text has no ids here: where its certain part ends only the template knows. */
  encodeChat(chat: ChatInput): EncodedChat | Promise<EncodedChat> {
    if (chat.messages.some(({ content }) => hasOtherParts(content))) return { ids: new Uint32Array(0), exact: false };
    const ids = this.#idsOf({
      messages: chat.messages,
      add_generation_prompt: chat.addGenerationPrompt ?? true,
      // The engine's default for chats; the template writes them itself.
      add_special_tokens: false,
      ...(chat.tools ? { tools: chat.tools } : {}),
      ...(chat.chatTemplateKwargs ? { chat_template_kwargs: chat.chatTemplateKwargs } : {}),
    });
    return ids instanceof Promise ? ids.then((done) => ({ ids: done, exact: true })) : { ids, exact: true };
  }

  /** Questions still open fail with `closed`. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.allSettled(this.#open.values());
  }

  #idsOf(question: object): Uint32Array | Promise<Uint32Array> {
    // A digest, so that long prompts are not kept beside their ids.
    const key = createHash('sha256').update(JSON.stringify(question)).digest('base64');
    const known = this.#answers.get(key) ?? this.#open.get(key);
    if (known !== undefined) return known;
    const asked = this.#askIds(question)
      .then((ids) => {
        this.#answers.set(key, ids);
        return ids;
      })
      .finally(() => this.#open.delete(key));
    this.#open.set(key, asked);
    return asked;
  }

  async #askIds(question: object): Promise<Uint32Array> {
    const answer = await this.#question('/tokenize', { model: this.#model, ...question });
    const tokens = (answer as { tokens?: unknown } | null)?.tokens;
    if (!Array.isArray(tokens) || !tokens.every((id) => Number.isInteger(id) && id >= 0 && id <= idMax)) {
      throw new TokenizerError('engine-answer-invalid', `${this.name} answered no list of tokens`);
    }
    return Uint32Array.from(tokens as number[]);
  }

  async #question(path: '/tokenize' | '/detokenize', body: object): Promise<unknown> {
    const closing = this.#closing.signal;
    if (closing.aborted) throw new TokenizerError('closed', 'the tokenizer was closed');
    if (this.#questions >= this.#questionsMax) {
      throw new TokenizerError('queue-full', `${this.#questionsMax} texts wait for the engine already`);
    }
    this.#questions++;
    try {
      const { status, body: answer } = await this.#ask(
        path,
        body,
        AbortSignal.any([closing, AbortSignal.timeout(this.#timeoutMs)]),
      );
      if (status === 200) return answer;
      throw new TokenizerError('engine-refused', `${this.name} answered ${path} with status ${status}`);
    } catch (error) {
      if (error instanceof TokenizerError) throw error;
      if (closing.aborted) throw new TokenizerError('closed', 'the tokenizer was closed');
      throw new TokenizerError('engine-unreachable', `${this.name} did not answer ${path}: ${String(error)}`);
    } finally {
      this.#questions--;
    }
  }
}

function hasOtherParts(content: unknown): boolean {
  if (!Array.isArray(content)) return false;
  return content.some((part: unknown) => {
    if (typeof part === 'string') return false;
    return typeof part !== 'object' || part === null || (part as { type?: unknown }).type !== 'text';
  });
}
