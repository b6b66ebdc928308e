// Lets another engine go on with a stream that broke off, as often as its limits allow.

import type { WorkerIndex } from '../../core/index.ts';
import { TokenizerError } from '../../tokens/tokenizer.ts';
import { asksForUsage, continuedBody } from '../../wire/continued-body.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { StreamSplice } from '../../wire/stream-splice.ts';
import type { Worker } from '../engines/engine.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { PromptContent } from '../prompts/prompt-content.ts';
import type { ContinuationOutcome } from '../telemetry/continuation-metrics.ts';
import type { Placeable } from './admission-applicant.ts';
import type { RelayOutcome } from './attempt-outcome.ts';
import type { Answered } from './attempts.ts';
import type { ClientAnswer } from './client-answer.ts';
import type { InferenceContext } from './inference-context.ts';
import type { Tries } from './tries.ts';

/** Bytes of the body and the text so far; a longer stream is not continued. */
export const continuedBytesMax: number = 4 * 1024 * 1024;
/** Times that one stream is continued. */
const continuationsMax = 4;

/** As `owned_by` in their lists of models: engines that know `continue_final_message`. Others might begin a new message. */
const continuing: ReadonlySet<unknown> = new Set(['vllm', 'sglang', 'kvoyant']);

/** A request that is read again. */
interface Continuable extends Placeable {
  /** With their tokens. */
  readonly contents: readonly PromptContent[];
}

/** A stream, and how to ask another engine for the rest of it. */
export interface ContinuableStream<T extends Continuable> {
  readonly answer: ClientAnswer;
  readonly splice: StreamSplice;
  readonly api: 'chat' | 'completions';
  /** As read from the client. */
  readonly body: Buffer;
  /** The setting `continue` of its pool, as of the last reload. */
  allowed(): boolean;
  readonly maxOutputTokens: number | null;
  /** Null: they are not exactly known. */
  readonly promptTokens: number | null;
  /** Token ids of text that follows a prompt of token ids; null: the prompt is no list of token ids. */
  readonly encode: ((text: string) => Uint32Array | Promise<Uint32Array> | null) | null;
  /** Reads the changed body like a request. Null: the client is gone. @throws RequestError */
  again(body: Buffer): Promise<T | null>;
  /** As `answerBySome`. */
  serve(intake: T, tried?: Set<WorkerIndex>): Promise<Answered | null>;
}

type Interrupted = Extract<RelayOutcome, { kind: 'interrupted' }>;

/** Settles when the answer has ended. Rejects only on a fault of the gateway. */
export async function goOnWhileCut<T extends Continuable>(
  context: InferenceContext,
  exchange: Exchange,
  stream: ContinuableStream<T>,
  tries: Tries,
  first: Answered | null,
): Promise<void> {
  let last = first;
  for (let count = 1; last?.outcome.kind === 'interrupted' && !exchange.gone; count++) {
    const { worker, outcome } = last;
    // An engine that got on with it probably did not die of the request.
    tries.deaths.note({ failure: outcome.failure, innocent: outcome.tokens > 0 });
    const why = count > continuationsMax ? 'continuationsMax' : whyNot(context, stream, outcome, tries);
    last = await new Continuation(context, exchange, stream, worker).run(why);
  }
}

/** A word for the metrics; null: it can be continued. */
function whyNot(
  { retryBudget }: InferenceContext,
  { splice, body, allowed }: ContinuableStream<Continuable>,
  { failure }: Interrupted,
  tries: Tries,
): string | null {
  if (!allowed()) return 'continue';
  if (splice.unfit !== null) return splice.unfit;
  if (body.length + splice.text.length > continuedBytesMax) return 'continuedBytesMax';
  if (tries.over) return 'attempts';
  return failure === 'error' && !retryBudget.take(performance.now()) ? 'retry_budget' : null;
}

/** One engine after another is asked to go on, until one does. */
class Continuation<T extends Continuable> {
  readonly #context: InferenceContext;
  readonly #exchange: Exchange;
  readonly #stream: ContinuableStream<T>;
  readonly #dead: Worker;
  readonly #sinceMs = performance.now();

  /** @param dead the worker whose stream broke off */
  constructor(context: InferenceContext, exchange: Exchange, stream: ContinuableStream<T>, dead: Worker) {
    this.#context = context;
    this.#exchange = exchange;
    this.#stream = stream;
    this.#dead = dead;
  }

  /** @param whyNot null: it can be continued @returns how the attempt of the engine that went on ended; null: the answer has ended */
  async run(whyNot: string | null): Promise<Answered | null> {
    const { splice, answer, maxOutputTokens, body } = this.#stream;
    const left = maxOutputTokens === null ? 1 : maxOutputTokens - splice.tokens;
    if (splice.finished || (left <= 0 && whyNot === null)) {
      answer.complete(splice.closing(asksForUsage(body) ? this.#promptTokens : null));
      this.#ended('completed');
      return null;
    }
    if (whyNot !== null) return this.#giveUp('not_continuable', whyNot);
    try {
      const answered = await this.#ask();
      if (answered !== null) this.#ended(outcomeOf(answered, splice), '', answered.worker);
      else if (this.#exchange.gone) this.#ended('gone');
      return answered;
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error instanceof LimitReached) return this.#giveUp('not_continuable', error.limit);
      return this.#giveUp(outcomeOfError(error), '');
    }
  }

  async #ask(): Promise<Answered | null> {
    const [context, stream] = [this.#context, this.#stream];
    const { splice, promptTokens } = stream;
    stream.answer.keepOpen();
    const turn = context.intakeSlices.take();
    if (turn !== null) await turn;
    const { tokens } = splice;
    const ids = await this.#ids();
    if (ids === 'unknown') return this.#giveUp('not_continuable', 'tokens');
    const { text } = splice;
    const asksChat = stream.api === 'chat' && text.length > 0;
    const intake = await this.#read(text, ids);
    if (intake === null) return null;
    const space = asksChat ? splice.spaceAtEnd : '';
    const bare = space === '' ? null : await this.#read(text.subarray(0, text.length - jsonBytes(space)), ids);
    splice.expect(promptTokens, bare !== null && haveSameTokens(intake, bare) ? space : '');
    const tried = this.#untakable(intake, asksChat);
    return await stream.serve({ ...intake, continues: { tokens, sinceMs: this.#sinceMs } }, tried);
  }

  /** The request for the rest of a text. Null: the client is gone. */
  #read(text: Buffer, ids: readonly number[] | null): Promise<T | null> {
    const { api, body, splice, again } = this.#stream;
    const { lease } = this.#exchange;
    const { tokens } = splice;
    const changed = text.length === 0 ? body : continuedBody(body, api, { text, ids, tokens });
    lease?.growTo(lease.bytes + changed.length);
    return again(changed);
  }

  /** Null: the prompt is a text, or a chat. */
  async #ids(): Promise<readonly number[] | 'unknown' | null> {
    const { splice, encode } = this.#stream;
    if (encode === null || splice.ids !== null) return splice.ids;
    try {
      const ids = await encode(JSON.parse(`"${splice.text.toString('utf8')}"`) as string);
      return ids === null ? 'unknown' : Array.from(ids);
    } catch (error) {
      if (!(error instanceof TokenizerError)) throw error;
      return 'unknown';
    }
  }

  /** Workers that can't be asked: the dead one, and those of engines that may not know what is asked of them. */
  #untakable({ pool, model }: T, asksChat: boolean): Set<WorkerIndex> {
    const untakable = new Set<WorkerIndex>();
    for (const worker of pool.workers) {
      const { membership, engine } = worker;
      const takes = !asksChat || continuing.has(engine.model(model)?.description.owned_by);
      if (membership?.router === pool.router && (worker === this.#dead || !takes)) untakable.add(membership.index);
    }
    return untakable;
  }

  get #promptTokens(): number {
    const { splice, promptTokens } = this.#stream;
    return splice.promptTokens ?? promptTokens ?? this.#exchange.record?.decision.isl ?? 0;
  }

  #giveUp(outcome: ContinuationOutcome, reason: string): null {
    this.#ended(outcome, reason);
    this.#stream.answer.cut(new RequestError(502, 'upstream_failed', 'the engine broke off its answer'));
    return null;
  }

  #ended(outcome: ContinuationOutcome, reason = '', worker: Worker | null = null): void {
    const { metrics, log } = this.#context;
    metrics.continuations.ended(outcome, reason);
    const line = {
      requestId: this.#exchange.id,
      from: this.#dead.id,
      to: worker?.id ?? null,
      tokens: this.#stream.splice.tokens,
      outcome,
      reason,
    };
    log.debug(line, 'a stream broke off');
  }
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2;
}

/** The chat template cuts off the white space in which they differ: the next engine is going to write it again. */
function haveSameTokens({ contents: [one] }: Continuable, { contents: [other] }: Continuable): boolean {
  if (one?.kind !== 'tokens' || other?.kind !== 'tokens') return false;
  return Buffer.compare(bytesOf(one.tokens as Uint32Array), bytesOf(other.tokens as Uint32Array)) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function outcomeOf({ outcome }: Answered, splice: StreamSplice): ContinuationOutcome {
  if (outcome.kind === 'answered' || splice.resumed) return 'continued';
  return outcome.kind === 'gone' ? 'gone' : 'failed';
}

/** @param error of the last engine that was asked, or of the search for one */
function outcomeOfError({ code }: RequestError): ContinuationOutcome {
  if (code === 'upstream_refused') return 'refused';
  if (code === 'upstream_failed' || code === 'upstream_silent' || code === 'upstream_unreachable') return 'failed';
  return 'no_worker';
}
