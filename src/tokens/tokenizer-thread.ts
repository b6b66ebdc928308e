// A worker thread that tokenizes for the calling thread: a bounded queue, and a new thread after a crash.

import { Worker } from 'node:worker_threads';
import { builtEntry } from './built-entry.ts';
import { type BytesPiece, postInPieces } from './in-pieces.ts';
import type { LongText } from './long-text.ts';
import {
  mapTexts,
  type SentText,
  type ThreadReply,
  type ThreadRequest,
  type ThreadResult,
  type ThreadSource,
  type ThreadTask,
  type TokenizerDescription,
} from './thread-messages.ts';
import { type ChatInput, type EncodedChat, TokenizerError } from './tokenizer.ts';
import type { TokenizerTurn } from './tokenizer-turn.ts';

export interface ThreadOptions {
  /** Limit on waiting and running texts; one more fails with `queue-full`. */
  readonly queuedTextsMax?: number | undefined;
  /** Limit on the characters of these texts. */
  readonly queuedCharsMax?: number | undefined;
  /** A longer text fails with `text-too-long`. */
  readonly textCharsMax?: number | undefined;
  /** Time from the call to its answer; a slower task fails with `tokenizer-late`. */
  readonly taskMsMax?: number | undefined;
  /** The module that the thread runs. */
  readonly entry?: URL | undefined;
}

interface Waiting {
  readonly group: number;
  readonly chars: number;
  readonly timer: NodeJS.Timeout;
  resolve(result: ThreadResult): void;
  reject(error: TokenizerError): void;
}

const defaults = {
  queuedTextsMax: 8192,
  queuedCharsMax: 64 * 1024 * 1024,
  /** Millions of tokens: no engine takes more. */
  textCharsMax: 16 * 1024 * 1024,
  taskMsMax: 30_000,
};

const threadEntry: URL = builtEntry(import.meta.url, 'tokenizer-thread-entry');

/**
 * The thread starts on the first call, and again on the first call after a crash. It keeps the process alive only while
 * calls wait for it. Every call may fail with `queue-full`, `text-too-long`, `tokenizer-late`, `cancelled`,
 * `thread-died`, `tokenizer-unsupported` (loading failed), `tokenizer-failed` (this input) or `closed`.
 */
export class TokenizerThread {
  readonly #source: ThreadSource;
  readonly #limits: typeof defaults;
  readonly #entry: URL;
  readonly #waiting = new Map<number, Waiting>();
  readonly #groups = new WeakMap<TokenizerTurn, number>();
  #waitingChars = 0;
  #nextId = 1;
  #nextText = 1;
  #worker: Worker | undefined;
  #closed = false;

  constructor(source: ThreadSource, options: ThreadOptions = {}) {
    this.#source = source;
    this.#limits = {
      queuedTextsMax: options.queuedTextsMax ?? defaults.queuedTextsMax,
      queuedCharsMax: options.queuedCharsMax ?? defaults.queuedCharsMax,
      textCharsMax: options.textCharsMax ?? defaults.textCharsMax,
      taskMsMax: options.taskMsMax ?? defaults.taskMsMax,
    };
    this.#entry = options.entry ?? threadEntry;
  }

  async describe(): Promise<TokenizerDescription> {
    return (await this.#ask({ kind: 'describe' }, 0)) as TokenizerDescription;
  }

  async encode(text: string | LongText, addSpecialTokens: boolean, turn?: TokenizerTurn): Promise<Uint32Array> {
    return (await this.#ask({ kind: 'encode', text, addSpecialTokens }, text.length, turn)) as Uint32Array;
  }

  /** Also renders the chat in the thread. */
  async encodeChat(chat: ChatInput, turn?: TokenizerTurn): Promise<EncodedChat> {
    const { messages, tools, chatTemplateKwargs } = chat;
    const chars = messages.chars + (tools?.chars ?? 0) + (chatTemplateKwargs?.chars ?? 0);
    const texts = {
      messages: messages.written,
      tools: tools?.written ?? null,
      chatTemplateKwargs: chatTemplateKwargs?.written ?? null,
      chatTemplate: chat.chatTemplate?.written ?? null,
      addGenerationPrompt: chat.addGenerationPrompt ?? true,
      addSpecialTokens: chat.addSpecialTokens ?? false,
      continueFinalMessage: chat.continueFinalMessage ?? false,
    };
    return (await this.#ask({ kind: 'chat', chat: texts }, chars, turn)) as EncodedChat;
  }

  async decode(ids: ArrayLike<number>): Promise<string> {
    return (await this.#ask({ kind: 'decode', ids: Uint32Array.from(ids) }, 0)) as string;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#abandon(worker, new TokenizerError('closed', 'the tokenizer was closed'));
    await worker.terminate();
  }

  #ask(task: ThreadTask<string | LongText>, chars: number, turn?: TokenizerTurn): Promise<ThreadResult> {
    this.#assertRoom(chars, turn);
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = this.#nextId++;
    const group = turn === undefined ? id : this.#groupOf(turn, id);
    return new Promise((resolve, reject) => {
      const late = (): void => this.#giveUp(group, 'tokenizer-late', `no ids within ${this.#limits.taskMsMax} ms`);
      const timer = setTimeout(late, this.#limits.taskMsMax).unref();
      this.#waiting.set(id, { group, chars, timer, resolve, reject });
      this.#waitingChars += chars;
      worker.ref();
      void this.#post(worker, id, group, task);
    });
  }

  /** In this turn, unless a text goes in pieces. */
  async #post(worker: Worker, id: number, group: number, task: ThreadTask<string | LongText>): Promise<void> {
    const isWanted = (): boolean => this.#waiting.has(id) && this.#worker === worker;
    const longTexts: LongText[] = [];
    const sent = mapTexts<string | LongText, SentText>(task, (text) => {
      if (typeof text === 'string') return text;
      longTexts.push(text);
      return { sent: this.#nextText + longTexts.length - 1, length: text.length };
    });
    const first = this.#nextText;
    this.#nextText += longTexts.length;
    for (const [index, { bytes }] of longTexts.entries()) {
      const post = (piece: BytesPiece): void =>
        worker.postMessage({ kind: 'piece', group, piece } satisfies ThreadRequest);
      if (!(await postInPieces(first + index, bytes, post, isWanted))) return;
    }
    if (isWanted()) worker.postMessage({ kind: 'work', id, group, task: sent } satisfies ThreadRequest);
  }

  #assertRoom(chars: number, turn: TokenizerTurn | undefined): void {
    const { queuedTextsMax, queuedCharsMax, textCharsMax } = this.#limits;
    if (this.#closed) throw new TokenizerError('closed', 'the tokenizer was closed');
    if (turn?.ended) throw new TokenizerError('cancelled', 'the request has ended');
    if (chars > textCharsMax) {
      throw new TokenizerError('text-too-long', `the text has more than ${textCharsMax} characters (textCharsMax)`);
    }
    if (this.#waiting.size >= queuedTextsMax) {
      throw new TokenizerError('queue-full', `${queuedTextsMax} texts are already waiting for the tokenizer`);
    }
    if (this.#waitingChars + chars > queuedCharsMax) {
      throw new TokenizerError('queue-full', `${queuedCharsMax} characters are already waiting for the tokenizer`);
    }
  }

  /** All tasks of one request form a group, which is scheduled and dropped as a whole. */
  #groupOf(turn: TokenizerTurn, id: number): number {
    const known = this.#groups.get(turn);
    if (known !== undefined) return known;
    this.#groups.set(turn, id);
    turn.whenEnded(() => this.#giveUp(id, 'cancelled', 'the request has ended'));
    return id;
  }

  #giveUp(group: number, code: 'cancelled' | 'tokenizer-late', reason: string): void {
    let found = false;
    for (const [id, waiting] of this.#waiting) {
      if (waiting.group !== group) continue;
      found = true;
      this.#forget(id, waiting);
      waiting.reject(new TokenizerError(code, reason));
    }
    if (found) this.#worker?.postMessage({ kind: 'drop', group } satisfies ThreadRequest);
  }

  #forget(id: number, { chars, timer }: Waiting): void {
    clearTimeout(timer);
    this.#waiting.delete(id);
    this.#waitingChars -= chars;
    if (this.#waiting.size === 0) this.#worker?.unref();
  }

  #start(): Worker {
    const worker = new Worker(this.#entry, { workerData: this.#source });
    worker.on('message', (reply: ThreadReply) => this.#settle(reply));
    worker.on('error', (error) => this.#abandon(worker, died(String(error))));
    worker.on('exit', (code) => this.#abandon(worker, died(`exit code ${code}`)));
    return worker;
  }

  #settle(reply: ThreadReply): void {
    const waiting = this.#waiting.get(reply.id);
    // Missing if the call was given up, or the thread was abandoned, while the reply was on its way.
    if (waiting === undefined) return;
    this.#forget(reply.id, waiting);
    if (reply.kind === 'done') waiting.resolve(reply.result);
    else waiting.reject(new TokenizerError(reply.code, reply.reason, reply.param));
  }

  /** Fails everything that waits for this thread; does nothing if the thread was abandoned before. */
  #abandon(worker: Worker, error: TokenizerError): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const [id, waiting] of this.#waiting) {
      this.#forget(id, waiting);
      waiting.reject(error);
    }
  }
}

function died(reason: string): TokenizerError {
  return new TokenizerError('thread-died', `the tokenizer's thread ended: ${reason}`);
}
