// Joins the streams of several engines into one answer: keeps the text so far, and makes later chunks look like the
// first engine's.

import { ByteCollector, type MemoryHold } from './byte-collector.ts';
import {
  type CompletionChoice,
  type CompletionChunk,
  carriesToken,
  errorText,
  isFilled,
  isTokenId,
  readUsage,
  textOf,
  type Usage,
} from './completion-chunk.ts';
import { type AnswerNames, continuedEvent, namesOf } from './continued-event.ts';
import { dataOf, eventEnd } from './sse-event.ts';

const nothing: Buffer = Buffer.alloc(0);
const bytesPerId = 8;
/** Characters of white space that an engine may repeat. */
const spaceMax = 256;
/** Clients skip comments. */
const resumption = Buffer.from(': another engine goes on\n\n');

/**
 * Why an answer can't be continued. `reasoning`, `tool_calls`, `refusal`, `choices`: it has such a part. `character`:
 * it ends inside a character whose tokens are known to the client. `continuedBytesMax`, `answersBytesMax`: its text
 * exceeds that limit. `eventBytesMax`: it has an event that is too long.
 */
export type Unfit =
  | 'reasoning'
  | 'tool_calls'
  | 'refusal'
  | 'choices'
  | 'character'
  | 'continuedBytesMax'
  | 'answersBytesMax'
  | 'eventBytesMax';

interface SpliceOptions {
  readonly api: 'chat' | 'completions';
  /** Limit on the text. */
  readonly bytesMax: number;
  /** Counts the memory of text and incomplete events; null if it is not counted. */
  readonly hold?: MemoryHold | null;
}

/**
 * Feed it the body of an engine's stream with `push`, in chunks cut anywhere, and send what it returns: whole events
 * only. After `interrupt` it takes the stream of the next engine. O(bytes)
 */
export class StreamSplice {
  /** Longer events are not continued. */
  static readonly eventBytesMax: number = 64 * 1024;

  readonly #api: 'chat' | 'completions';
  readonly #bytesMax: number;
  readonly #hold: MemoryHold | null;
  readonly #held: ByteCollector;
  readonly #text: ByteCollector;
  /** Token ids that the client has; null: none were told. */
  #ids: number[] | null = null;
  #toldIds = false;
  #names: AnswerNames | null = null;
  /** Tokens of earlier engines. */
  #before = 0;
  /** Tokens of this engine, and those up to the last one with text. */
  #tokens = 0;
  #textTokens = 0;
  #promptTokens: number | null = null;
  #continues = false;
  #resumed = false;
  #finished = false;
  #usageSent = false;
  #done = false;
  #unfit: Unfit | null = null;
  #fault: Error | null = null;
  #toldError = false;
  /** From the event that is the fault on. */
  #lastWords: Buffer = nothing;
  #lastCharacter = '';
  #spaceAtEnd = '';
  /** White space that the engine may repeat. */
  #space = '';
  /** Bytes pass as they come. */
  #passes = false;

  constructor({ api, bytesMax, hold = null }: SpliceOptions) {
    this.#api = api;
    this.#bytesMax = bytesMax;
    this.#hold = hold;
    this.#held = new ByteCollector(hold);
    this.#text = new ByteCollector(hold);
  }

  /** Why the engine's stream is no answer: it reports an error, aborts, or sends something else. */
  get fault(): Error | null {
    return this.#fault;
  }

  /** The engine has reported its fault in an event, which `flush` returns. */
  get toldError(): boolean {
    return this.#toldError;
  }

  /** Null: the text so far can be continued. */
  get unfit(): Unfit | null {
    if (this.#unfit !== null) return this.#unfit;
    if ((this.#toldIds && this.#tokens > this.#textTokens) || this.#lastCharacter === '\ufffd') return 'character';
    // Without a parser in the engine, a thought is part of the text, and templates cut it off.
    const thinks = this.#api === 'chat' && this.#text.view().includes('think>');
    return thinks ? 'reasoning' : null;
  }

  /** The engine has said why it ended; only usage and `[DONE]` may be missing. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Tokens that make up the text so far. */
  get tokens(): number {
    return this.#before + this.#textTokens;
  }

  /** The text so far as the inside of a JSON string. Valid until the next call. */
  get text(): Buffer {
    return this.#text.view();
  }

  /** White space at the end of the text; empty: none, or so much that it is nobody's mistake. */
  get spaceAtEnd(): string {
    return this.#spaceAtEnd.length <= spaceMax ? this.#spaceAtEnd : '';
  }

  /** Token ids that the client has; null: none were told. */
  get ids(): readonly number[] | null {
    return this.#ids;
  }

  /** The prompt's tokens, if an engine told them while it streamed. */
  get promptTokens(): number | null {
    return this.#promptTokens;
  }

  /** An engine has gone on since the last call of `expect`. */
  get resumed(): boolean {
    return this.#resumed;
  }

  /** @returns the bytes to send; they are valid until the next call */
  push(chunk: Buffer): Buffer {
    if (this.#passes) return chunk;
    if (this.#fault !== null) {
      this.#lastWords = Buffer.concat([this.#lastWords, chunk]);
      return nothing;
    }
    const before = this.#held.length;
    if (before === 0) return this.#take(chunk, 0, false);
    if (!this.#keep(chunk)) return join([Buffer.from(this.#held.take()), chunk]);
    return this.#take(this.#held.view(), Math.max(0, before - 3), true);
  }

  /** @param held the bytes are those that are held */
  #take(bytes: Buffer, scanFrom: number, held: boolean): Buffer {
    const changed: Buffer[] = [];
    let start = 0;
    for (let end = eventEnd(bytes, scanFrom); end !== -1; end = eventEnd(bytes, start)) {
      const passed = this.#event(bytes.subarray(start, end));
      if (this.#fault !== null) {
        this.#lastWords = Buffer.from(bytes.subarray(start));
        this.#held.clear();
        return this.#continues ? join(changed) : Buffer.from(bytes.subarray(0, start));
      }
      if (this.#continues && passed !== null) changed.push(passed);
      start = end;
    }
    // A copy: what is held may move.
    const passed = this.#continues
      ? join(changed)
      : held
        ? Buffer.from(bytes.subarray(0, start))
        : bytes.subarray(0, start);
    if (held && start === 0) return passed;
    const rest = Buffer.from(bytes.subarray(start));
    this.#held.clear();
    return rest.length === 0 || this.#keep(rest) ? passed : join([passed, rest]);
  }

  /** The engine's answer broke off: forgets its incomplete event. @returns its tokens that the client has as text */
  interrupt(): number {
    const tokens = this.#textTokens;
    this.#held.clear();
    this.#before += tokens;
    this.#tokens = 0;
    this.#textTokens = 0;
    this.#continues = true;
    return tokens;
  }

  /**
   * Another engine is going to continue.
   * @param promptTokens of the prompt alone, if they are known
   * @param space at the end of the text, which the engine does not see: it is left out where the engine writes it again
   */
  expect(promptTokens: number | null, space = ''): void {
    this.#space = space;
    this.#promptTokens ??= promptTokens;
    this.#fault = null;
    this.#resumed = false;
  }

  /** The rest of a stream that is not continued: an incomplete event, or the engine's error. */
  flush(): Buffer {
    return join([Buffer.from(this.#held.take()), this.#lastWords]);
  }

  /** What the engine owes: the reason to end, the usage, `[DONE]`. @param promptTokens null: no usage is wanted */
  closing(promptTokens: number | null): Buffer {
    const events: string[] = [];
    const { id = '""', created = '0', model = '""' } = this.#names ?? {};
    const isChat = this.#api === 'chat';
    const object = isChat ? 'chat.completion.chunk' : 'text_completion';
    const start = `{"id":${id},"object":"${object}","created":${created},"model":${model},"choices":`;
    const content = isChat ? '"delta":{}' : '"text":""';
    if (!this.#finished) events.push(`${start}[{"index":0,${content},"logprobs":null,"finish_reason":"length"}]}`);
    if (promptTokens !== null && !this.#usageSent) {
      const { tokens } = this;
      const usage = `{"prompt_tokens":${promptTokens},"total_tokens":${promptTokens + tokens},"completion_tokens":${tokens}}`;
      events.push(`${start}[],"usage":${usage}}`);
    }
    if (!this.#done) events.push('[DONE]');
    this.#finished = true;
    return Buffer.from(events.map((data) => `data: ${data}\n\n`).join(''));
  }

  /** @returns false if the rest of the stream has to pass as it comes */
  #keep(bytes: Buffer): boolean {
    try {
      if (this.#held.length + bytes.length <= StreamSplice.eventBytesMax) {
        this.#held.append(bytes);
        return true;
      }
      this.#forget('eventBytesMax');
    } catch {
      this.#forget('answersBytesMax');
    }
    this.#passes = true;
    return false;
  }

  #forget(why: Unfit): void {
    this.#unfit ??= why;
    this.#text.take();
    this.#spaceAtEnd = '';
    if (this.#ids !== null) this.#hold?.give(this.#ids.length * bytesPerId);
    this.#ids = null;
  }

  /** @returns what the client gets of it; null: nothing */
  #event(event: Buffer): Buffer | null {
    const data = dataOf(event);
    if (data === null) return event;
    if (data === '[DONE]') {
      this.#done = true;
      return event;
    }
    const chunk = parseChunk(data);
    if (chunk === null) {
      this.#fault = new Error('the engine sent an event that is not JSON');
      return null;
    }
    const { error = null } = chunk;
    if (error !== null) {
      const code = typeof error === 'object' ? error.code : null;
      if (!this.#continues && typeof code === 'number' && code < 500) return event;
      this.#fault = new Error(errorText(error));
      this.#toldError = true;
      return null;
    }
    return this.#chunk(event, data, chunk);
  }

  #chunk(event: Buffer, data: string, chunk: CompletionChunk): Buffer | null {
    const json = this.#names === null || this.#continues ? Buffer.from(data) : nothing;
    this.#names ??= namesOf(json);
    const choices = Array.isArray(chunk.choices) ? (chunk.choices as readonly CompletionChoice[]) : [];
    const [choice] = choices;
    if (choice !== undefined && (typeof choice !== 'object' || choice === null || Array.isArray(choice))) {
      this.#fault = new Error('the engine sent a choice that is not an object');
      return null;
    }
    if (choices.length > 1 || (choice?.index ?? 0) !== 0) this.#forget('choices');
    if (choice?.finish_reason === 'abort') {
      this.#fault = new Error('the engine aborted the answer');
      return null;
    }
    const reading = readUsage(chunk.usage);
    const usage = typeof reading === 'string' ? null : reading;
    if (usage !== null && choices.length === 0) this.#usageSent = true;
    // Later engines count the text so far as part of the prompt.
    if (usage !== null && !this.#continues) this.#promptTokens = usage.promptTokens;
    if (choice !== undefined && !this.#choice(choice, usage)) return null;
    if (this.#fault !== null || !this.#continues) return event;
    const text = choice === undefined ? null : textOf(this.#api, choice);
    const repeated = typeof text === 'string' ? this.#repeated(text) : 0;
    this.#space = typeof text === 'string' && text.length === repeated ? this.#space.slice(repeated) : '';
    const fresh = repeated > 0 ? (text as string).slice(repeated) : null;
    const counts = { names: this.#names, before: this.#before, promptTokens: this.#promptTokens };
    const rewritten = continuedEvent(json, { ...counts, fresh }, choice ?? null, usage);
    if (this.#resumed) return rewritten;
    this.#resumed = true;
    this.#toldError = false;
    this.#lastWords = nothing;
    return Buffer.concat([resumption, rewritten]);
  }

  /** @returns false if it only opens the message again */
  #choice(choice: CompletionChoice, usage: Usage | null): boolean {
    const ids = Array.isArray(choice.token_ids) ? (choice.token_ids as readonly unknown[]) : null;
    const { delta = null } = choice;
    const text = textOf(this.#api, choice);
    if (typeof choice.finish_reason === 'string') this.#finished = true;
    else if (this.#continues && (text ?? '') === '' && typeof delta?.role === 'string' && ids === null) return false;
    if (isFilled(delta?.reasoning) || isFilled(delta?.reasoning_content)) {
      // A parser that takes the rest of a text for a thought would mix up the two.
      if (this.#continues) this.#fault = new Error('the engine took the text for a thought');
      this.#forget('reasoning');
    }
    if (isFilled(delta?.tool_calls) || isFilled(delta?.function_call)) this.#forget('tool_calls');
    if (isFilled(delta?.refusal)) this.#forget('refusal');
    if (ids === null && !carriesToken(choice, this.#tokens > 0)) return true;
    this.#tokens = ids !== null || usage === null ? this.#tokens + (ids?.length ?? 1) : usage.completionTokens;
    if (this.#unfit !== null) return true;
    this.#toldIds ||= ids !== null;
    if (ids !== null && this.#api === 'completions') this.#keepIds(ids);
    if (typeof text !== 'string' || text === '') return true;
    this.#textTokens = this.#tokens;
    const fresh = text.slice(this.#repeated(text));
    if (fresh === '') return true;
    this.#lastCharacter = fresh.slice(-1);
    const { length } = fresh.trimEnd();
    this.#spaceAtEnd = length > 0 ? fresh.slice(length) : this.#moreSpace(fresh);
    this.#keepText(Buffer.from(JSON.stringify(fresh).slice(1, -1)));
    return true;
  }

  /** White space that follows white space. Beyond `spaceMax` its length no longer matters. */
  #moreSpace(fresh: string): string {
    return this.#spaceAtEnd.length > spaceMax ? this.#spaceAtEnd : this.#spaceAtEnd + fresh;
  }

  /** Characters at the beginning of a text that repeat the white space before it. */
  #repeated(text: string): number {
    let count = 0;
    while (count < this.#space.length && text[count] === this.#space[count]) count += 1;
    return count;
  }

  #keepText(text: Buffer): void {
    try {
      if (this.#text.length + text.length <= this.#bytesMax) this.#text.append(text);
      else this.#forget('continuedBytesMax');
    } catch {
      this.#forget('answersBytesMax');
    }
  }

  #keepIds(ids: readonly unknown[]): void {
    if (!ids.every(isTokenId)) {
      this.#forget('character');
      return;
    }
    try {
      this.#hold?.take(ids.length * bytesPerId);
    } catch {
      this.#forget('answersBytesMax');
      return;
    }
    this.#ids ??= [];
    for (const id of ids) this.#ids.push(id);
  }
}

function parseChunk(data: string): CompletionChunk | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    // The caller takes it for a fault of the engine.
    return null;
  }
}

function join(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}
