// Tells the token ids of prompts by asking the engines of a pool (vLLM's /tokenize), if nothing else can tell them.
//
// Equal questions are asked once, and their answers are cached. All questions share one time limit, one bound on how
// many are open, and one on how many wait.

import { createHash } from 'node:crypto';
import { ByteLru } from '../../tokens/byte-lru.ts';
import { factsOf } from '../../tokens/chat-facts.ts';
import { chatQuestion } from '../../tokens/chat-question.ts';
import type { LongText } from '../../tokens/long-text.ts';
import { type ChatInput, type EncodedChat, type EncodeOptions, TokenizerError } from '../../tokens/tokenizer.ts';
import type { EngineAnswer } from '../engines/engine-probe.ts';
import { type EngineAsking, listsTokens, type QuestionKind } from './engine-asking.ts';
import { QuestionTurns } from './question-turns.ts';

export interface EngineTokenizerOptions {
  /** Limit on the time to an answer, including the wait in the queue. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Memory of cached answers. Default 32 MiB. */
  readonly cacheBytesMax?: number | undefined;
  /** Limit on waiting questions; one more fails with `queue-full`. Default 4,096. */
  readonly waitingMax?: number | undefined;
}

/** Approximate size of an answer's map entry, key and array header. */
const entryOverheadBytes = 384;
/** Longer prompts are known by their bytes: a question is written and digested in one go, 15 ms at this length. */
const askedCharsMax = 2 * 1024 * 1024;
/** Larger than any vocabulary. */
const idMax = 0xffff_fff0;

/**
 * Exact, since the engine itself answers, but needs a round trip unless an equal question is cached. Every question may
 * fail with `engine-missing`, `text-too-long`, `queue-full`, `engine-unreachable`, `engine-refused`, `engine-answer-invalid` or `closed`.
 */
export class EngineTokenizer {
  readonly #asking: Pick<EngineAsking, 'ask' | 'canAsk' | 'questionsMax'>;
  readonly #timeoutMs: number;
  readonly #turns: QuestionTurns;
  readonly #answers: ByteLru<Uint32Array>;
  readonly #waiting = new Map<string, Promise<Uint32Array>>();
  /** One per open or waiting question. */
  readonly #open = new Set<AbortController>();
  #epoch = 0;
  #closed = false;

  /** @param asking chooses the engine of each question; its `questionsMax` is read at each turn */
  constructor(
    asking: Pick<EngineAsking, 'ask' | 'canAsk' | 'questionsMax'>,
    { timeoutMs = 5000, cacheBytesMax = 32 * 1024 * 1024, waitingMax = 4096 }: EngineTokenizerOptions = {},
  ) {
    this.#asking = asking;
    this.#timeoutMs = timeoutMs;
    this.#turns = new QuestionTurns(() => asking.questionsMax, waitingMax);
    this.#answers = new ByteLru(cacheBytesMax, (key, ids) => entryOverheadBytes + key.length * 2 + ids.byteLength);
  }

  /** Memory of cached answers. */
  get cacheBytes(): number {
    return this.#answers.bytes;
  }

  /** Whether any engine can be asked, now or after a pause. */
  canAsk(kind: QuestionKind, model: string): boolean {
    return this.#asking.canAsk(kind, model);
  }

  /** The ids are shared between callers: read only. */
  encode(model: string, text: string | LongText, options?: EncodeOptions): Uint32Array | Promise<Uint32Array> {
    this.#requireEngine('text', model);
    mustBeShort(text.length);
    const members = `"prompt":${JSON.stringify(text.toString())},"add_special_tokens":${options?.addSpecialTokens ?? true}`;
    return this.#tokenIds('text', model, members);
  }

  /**
   * Returns no ids for a chat with non-text parts: only the template knows where its certain part ends, and asking
   * would make the engine fetch the images twice.
   */
  encodeChat(model: string, chat: ChatInput): EncodedChat | Promise<EncodedChat> {
    this.#requireEngine('chat', model);
    const { otherParts } = factsOf(chat);
    if (otherParts > 0) return { ids: new Uint32Array(0), exact: false, restTokens: null, otherParts };
    mustBeShort(chat.messages.chars + (chat.tools?.chars ?? 0));
    const ids = this.#tokenIds('chat', model, chatQuestion(chat));
    return ids instanceof Promise ? ids.then((done) => ({ ids: done, exact: true })) : { ids, exact: true };
  }

  /** Drops all cached answers, which may be outdated. */
  forget(): void {
    this.#epoch++;
    this.#answers.clear();
    this.#waiting.clear();
  }

  /** Open questions fail with `closed`. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const controller of this.#open) controller.abort(new Error('closed'));
    await Promise.allSettled(this.#waiting.values());
  }

  /** @param members of the question, except the model, as JSON without braces */
  #tokenIds(kind: QuestionKind, model: string, members: string): Uint32Array | Promise<Uint32Array> {
    const body = `{"model":${JSON.stringify(model)},${members}}`;
    // A digest, so that long prompts are not stored with their ids.
    const key = createHash('sha256').update(body).digest('base64');
    const known = this.#answers.get(key) ?? this.#waiting.get(key);
    if (known !== undefined) return known;
    const epoch = this.#epoch;
    const asked = this.#ask(kind, model, body)
      .then((answer) => {
        const ids = readTokenIds(answer);
        if (epoch === this.#epoch) this.#answers.set(key, ids);
        return ids;
      })
      .finally(() => {
        if (this.#waiting.get(key) === asked) this.#waiting.delete(key);
      });
    this.#waiting.set(key, asked);
    return asked;
  }

  async #ask(kind: QuestionKind, model: string, body: string): Promise<EngineAnswer> {
    if (this.#closed) throw closedError();
    const controller = new AbortController();
    const { signal } = controller;
    const late = new Error(`no answer within ${this.#timeoutMs} ms`);
    const timer = setTimeout(() => controller.abort(late), this.#timeoutMs);
    this.#open.add(controller);
    try {
      return await this.#turns.run(signal, () => this.#asking.ask(kind, model, body, signal));
    } catch (error) {
      if (this.#closed) throw closedError();
      if (error instanceof TokenizerError) throw error;
      throw new TokenizerError('engine-unreachable', `no engine answered /tokenize: ${messageOf(error)}`);
    } finally {
      clearTimeout(timer);
      this.#open.delete(controller);
    }
  }

  /** @throws TokenizerError `engine-missing` */
  #requireEngine(kind: QuestionKind, model: string): void {
    if (this.canAsk(kind, model)) return;
    throw new TokenizerError('engine-missing', `no ready engine can tell the token ids of a ${kind} for ${model}`);
  }
}

/** @throws TokenizerError `text-too-long` */
function mustBeShort(chars: number): void {
  if (chars <= askedCharsMax) return;
  const message = `engines are not asked about more than ${askedCharsMax} characters (askedCharsMax)`;
  throw new TokenizerError('text-too-long', message);
}

/** @throws TokenizerError `engine-refused` or `engine-answer-invalid` */
function readTokenIds({ status, body }: EngineAnswer): Uint32Array {
  if (status !== 200) throw new TokenizerError('engine-refused', `an engine answered /tokenize with status ${status}`);
  if (listsTokens(body)) {
    const { tokens } = body;
    if (tokens.every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) <= idMax)) {
      return Uint32Array.from(tokens as number[]);
    }
  }
  throw new TokenizerError('engine-answer-invalid', 'an engine answered without a list of tokens');
}

function closedError(): TokenizerError {
  return new TokenizerError('closed', 'the tokenizer was closed');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
