// Asks engines for token ids: deduplicates equal questions and caches answers, within limits.

import { createHash } from 'node:crypto';
import { ByteLru } from './byte-lru.ts';
import { QuestionTurns } from './question-turns.ts';
import { TokenizerError } from './tokenizer.ts';

/** An engine's answer; `body` is the parsed JSON, or null if it is not JSON. */
export interface EngineAnswer {
  readonly status: number;
  readonly body: unknown;
}

export type QuestionPath = '/tokenize' | '/detokenize';

/**
 * Posts a JSON body to a path of an engine that serves the model. Rejects if there is no answer, or the signal aborts.
 * A TokenizerError is passed on.
 */
export type AskEngine = (path: QuestionPath, body: string, signal: AbortSignal) => Promise<EngineAnswer>;

export interface EngineQuestionsOptions {
  /** Limit on the time to an answer, including the wait in the queue. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** Memory of cached answers. Default 32 MiB. */
  readonly cacheBytesMax?: number | undefined;
  /** Limit on open questions, read for each question; others wait. Default 32. */
  readonly questionsMax?: (() => number) | undefined;
  /** Limit on waiting questions; one more fails with `queue-full`. Default 4,096. */
  readonly waitingMax?: number | undefined;
}

/** Approximate size of an answer's map entry, key and array header. */
const entryOverheadBytes = 384;
/** Larger than any vocabulary. */
export const idMax = 0xffff_fff0;

/** Every method may fail with `queue-full`, `engine-unreachable`, `engine-refused`, `engine-answer-invalid` or `closed`. */
export class EngineQuestions {
  readonly #timeoutMs: number;
  readonly #turns: QuestionTurns;
  readonly #answers: ByteLru<Uint32Array>;
  readonly #waiting = new Map<string, Promise<Uint32Array>>();
  /** One per open or waiting question. */
  readonly #open = new Set<AbortController>();
  #epoch = 0;
  #closed = false;

  constructor(options: EngineQuestionsOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#turns = new QuestionTurns(options.questionsMax ?? (() => 32), options.waitingMax ?? 4096);
    const bytesMax = options.cacheBytesMax ?? 32 * 1024 * 1024;
    this.#answers = new ByteLru(bytesMax, (key, ids) => entryOverheadBytes + key.length * 2 + ids.byteLength);
  }

  /** Memory of cached answers. */
  get cacheBytes(): number {
    return this.#answers.bytes;
  }

  /** The ids are shared between callers: read only. */
  tokenIds(body: string, ask: AskEngine): Uint32Array | Promise<Uint32Array> {
    // A digest, so that long prompts are not stored with their ids.
    const key = createHash('sha256').update(body).digest('base64');
    const known = this.#answers.get(key) ?? this.#waiting.get(key);
    if (known !== undefined) return known;
    const epoch = this.#epoch;
    const asked = this.ask('/tokenize', body, ask)
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

  /** @returns the body of an answer with status 200 */
  async ask(path: QuestionPath, body: string, ask: AskEngine): Promise<unknown> {
    if (this.#closed) throw new TokenizerError('closed', 'the tokenizer was closed');
    const controller = new AbortController();
    const timer = setTimeout(
      () => controller.abort(new Error(`no answer within ${this.#timeoutMs} ms`)),
      this.#timeoutMs,
    );
    this.#open.add(controller);
    try {
      const answer = await this.#inTurn(() => ask(path, body, controller.signal), controller.signal);
      if (answer.status === 200) return answer.body;
      throw new TokenizerError('engine-refused', `an engine answered ${path} with status ${answer.status}`);
    } catch (error) {
      if (this.#closed) throw new TokenizerError('closed', 'the tokenizer was closed');
      if (error instanceof TokenizerError) throw error;
      throw new TokenizerError('engine-unreachable', `no engine answered ${path}: ${messageOf(error)}`);
    } finally {
      clearTimeout(timer);
      this.#open.delete(controller);
    }
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

  async #inTurn<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turns.take(signal);
    try {
      return await ask();
    } finally {
      this.#turns.end();
    }
  }
}

/** Whether an answer has the form of one from /tokenize; does not check the ids. */
export function listsTokens(answer: unknown): answer is { readonly tokens: readonly unknown[] } {
  return Array.isArray((answer as { tokens?: unknown } | null)?.tokens);
}

/** @throws TokenizerError `engine-answer-invalid` */
function readTokenIds(answer: unknown): Uint32Array {
  if (listsTokens(answer)) {
    const { tokens } = answer;
    if (tokens.every((id) => Number.isInteger(id) && (id as number) >= 0 && (id as number) <= idMax)) {
      return Uint32Array.from(tokens as number[]);
    }
  }
  throw new TokenizerError('engine-answer-invalid', 'an engine answered without a list of tokens');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
