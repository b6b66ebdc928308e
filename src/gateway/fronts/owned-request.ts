// A request that a front has read, as the owner serves it: placed, booked, and retried by orders to its front.

import type { BlockHashes, Prompt } from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { type Call, EngineSilent } from '../engines/engine-calls.ts';
import type { AttemptRecord } from '../exchange/attempt-record.ts';
import type { ClientUse } from '../exchange/client-use.ts';
import type { Requester } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { RequestTrace } from '../exchange/request-trace.ts';
import type { SentError } from '../exchange/sent-error.ts';
import { sentError } from '../exchange/sent-error.ts';
import type { GatewayContext } from '../http/gateway-context.ts';
import { type AttemptBook, type Booked, bookOf } from '../inference/attempt-book.ts';
import type { RelayOutcome } from '../inference/attempt-outcome.ts';
import { type Attempt, addressOf, answerBySome, answerHeaders } from '../inference/attempts.ts';
import { drawKey, overRoutes } from '../inference/over-routes.ts';
import type { AskedRequest, AttemptOrder, OwnerMessage, SentEnd } from './front-messages.ts';
import { outcomeOf } from './sent-outcome.ts';
import { toOwnMs } from './shared-clock.ts';

/** Time for the end of an answer to become known. */
const settlingMs = 50;

/** The front of a request. */
export interface OrderedFront {
  /** Null: the front is dead. */
  readonly fault: string | null;
  post(message: OwnerMessage): void;
  /** Introduces the engine if the front does not know it. */
  engineId(engine: Engine): number;
}

/** An attempt under way at the front: the engine's call, seen from here. */
class RemoteAttempt implements Call {
  readonly form: 'stream' | 'whole';
  lastTokenMs: number | null = null;
  paused = false;
  readonly engine: Engine;
  readonly book: AttemptBook;
  readonly resolve: (outcome: RelayOutcome) => void;
  readonly reject: (error: Error) => void;
  readonly #post: (message: OwnerMessage) => void;
  readonly #request: number;
  readonly #number: number;
  #moves = false;

  constructor(
    fields: Pick<RemoteAttempt, 'form' | 'engine' | 'book' | 'resolve' | 'reject'>,
    order: { readonly request: number; readonly number: number; post(message: OwnerMessage): void },
  ) {
    this.form = fields.form;
    this.engine = fields.engine;
    this.book = fields.book;
    this.resolve = fields.resolve;
    this.reject = fields.reject;
    this.#request = order.request;
    this.#number = order.number;
    this.#post = order.post;
  }

  breakOff(error: Error): void {
    const silent = error instanceof EngineSilent;
    this.#post({ kind: 'break', request: this.#request, number: this.#number, silent, message: error.message });
  }

  moveIfFaster(silenceMs: number, { message }: Error): void {
    if (this.#moves || !this.book.mayMove(silenceMs)) return;
    this.#moves = true;
    this.#post({ kind: 'move', request: this.#request, number: this.#number, silenceMs, message });
  }
}

export class OwnedRequest implements Requester {
  readonly id: string;
  readonly startedMs: number;
  record: AttemptRecord | null = null;
  readonly trace: RequestTrace | null;
  use: ClientUse | null = null;
  readonly #context: GatewayContext;
  readonly #front: OrderedFront;
  readonly #number: number;
  readonly #asked: AskedRequest;
  #attempt: RemoteAttempt | null = null;
  #gone = false;
  #onGone: (() => void) | null = null;

  constructor(context: GatewayContext, front: OrderedFront, number: number, asked: AskedRequest) {
    this.#context = context;
    this.#front = front;
    this.#number = number;
    this.#asked = asked;
    this.id = asked.requestId;
    this.startedMs = toOwnMs(asked.sharedMs);
    this.trace = this.#begin();
  }

  #begin(): RequestTrace | null {
    const { trace: sent, model, request, key } = this.#asked;
    if (this.#context.tracing === null || sent === null) return null;
    const { id, startedMs } = this;
    const trace = this.#context.tracing.begin({ ...sent, id, startedMs, key: key?.name ?? null });
    trace.asks({ ...request, model });
    trace.tokenized(toOwnMs(sent.readMs), toOwnMs(sent.tokensMs), 'tokens');
    return trace;
  }

  get gone(): boolean {
    return this.#gone;
  }

  whenGone(callback: () => void): void {
    if (this.#gone) callback();
    else this.#onGone = callback;
  }

  /** Settles when its last attempt has ended; never rejects. */
  async serve(): Promise<void> {
    const { retryBudget, log } = this.#context;
    let failure: SentError | null = null;
    try {
      retryBudget.request(performance.now());
      await this.#withinLimits();
    } catch (error) {
      failure = sentError(error);
      if (!(error instanceof RequestError) && this.#front.fault === null) {
        log.error({ requestId: this.id, err: error }, 'request failed by a fault of the gateway');
      }
    }
    this.#front.post({ kind: 'over', request: this.#number, error: failure });
  }

  /** Its client is gone, and no attempt is under way. */
  leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#onGone?.();
  }

  tokens(choice: number, count: number, sharedMs: number): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    const nowMs = toOwnMs(sharedMs);
    attempt.book.tokens(choice, count, nowMs);
    attempt.engine.calls.token(attempt, nowMs);
  }

  totalTokens(count: number): void {
    this.#attempt?.book.totalTokens(count);
  }

  get book(): AttemptBook | null {
    return this.#attempt?.book ?? null;
  }

  pause(paused: boolean): void {
    const attempt = this.#attempt;
    if (attempt === null) return;
    const { calls } = attempt.engine;
    if (paused) calls.pause(attempt);
    else calls.resume(attempt);
  }

  settled(end: SentEnd): void {
    const attempt = this.#end();
    if (attempt === null) return;
    const outcome = outcomeOf(end.outcome);
    if (outcome.kind === 'gone') this.#gone = true;
    try {
      attempt.book.settled({ ...end, outcome });
      attempt.resolve(outcome);
    } catch (error) {
      attempt.reject(error as Error);
    }
  }

  /** A fault ended the attempt: at the front, or of it. */
  broken(error: Error): void {
    this.#end()?.reject(error);
  }

  /** Its front is dead, and the client's connection with it. */
  orphaned(reason: string): void {
    if (this.#attempt === null) this.leave();
    else {
      this.#gone = true;
      this.broken(new Error(reason));
    }
  }

  #end(): RemoteAttempt | null {
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt?.engine.calls.close(attempt);
    return attempt;
  }

  /**
   * A client that has its answer may send its next request before the end of the first is known here, since each front
   * tells it after it has written it. So a request beyond the limit is asked once more, a little later.
   */
  async #withinLimits(): Promise<void> {
    const { keyLimits } = this.#context;
    const within = (): Promise<void> =>
      keyLimits.within(this.#asked.key, this.#context.config, performance.now(), (use) => {
        this.use = use;
        return this.#answer();
      });
    try {
      await within();
    } catch (error) {
      if (!(error instanceof LimitReached) || !error.limit.startsWith('inFlightPer')) throw error;
      await new Promise((resolve) => setTimeout(resolve, settlingMs));
      await within();
    }
  }

  async #answer(): Promise<void> {
    const { request, overrides, prompts } = this.#asked;
    const resolve = (): Booked => ({
      request,
      overrides,
      known: 'tokens',
      choices: prompts.length * request.sequences,
      hashed: (blockSizes) => prompts.map((prompt) => ofSizes(prompt, blockSizes)),
      // Lengths are learnt from prompts that are not known in tokens.
      learn: () => undefined,
      ...this.#context.pools.resolve(this.#asked.model, drawKey(overrides, this.id)),
    });
    let last = resolve();
    try {
      await overRoutes(this, last, resolve, (booked, tries) => {
        last = booked;
        return answerBySome(this.#context, this, booked, tries, (attempt) => this.#send(booked, attempt));
      });
    } finally {
      this.#context.metrics.routes.count(last);
    }
  }

  #send(booked: Booked, attempt: Attempt): Promise<RelayOutcome> {
    const { placed, number } = attempt;
    const { worker } = placed;
    const { engine } = worker;
    const book = bookOf(this.#context, this, booked, attempt);
    if (this.#front.fault !== null) throw new Error(this.#front.fault);
    const order: AttemptOrder = {
      number,
      engine: this.#front.engineId(engine),
      address: addressOf(worker),
      traceHeaders: this.trace?.headers ?? null,
      extraHeaders: answerHeaders(this, booked, placed),
      model: booked.model,
      mayGiveUp: book.mayGiveUp('full'),
    };
    return new Promise((resolve, reject) => {
      const form = booked.request.stream ? 'stream' : 'whole';
      const remote = new RemoteAttempt(
        { form, engine, book, resolve, reject },
        { request: this.#number, number, post: (message) => this.#front.post(message) },
      );
      this.#attempt = remote;
      engine.calls.open(remote);
      this.#front.post({ kind: 'attempt', request: this.#number, order });
    });
  }
}

/** A block size that came up after the front had hashed the prompt gets no hashes: nothing is claimed there. */
function ofSizes(prompt: Prompt, blockSizes: readonly number[]): Prompt {
  const { hashes } = prompt;
  if (hashes.length === blockSizes.length && hashes.every(({ blockSize }, i) => blockSize === blockSizes[i])) {
    return prompt;
  }
  const none = (blockSize: number): BlockHashes => ({
    blockSize,
    count: 0,
    sequence: new Uint32Array(0),
    blockTokens: blockSize,
  });
  return {
    ...prompt,
    hashes: blockSizes.map((size) => hashes.find(({ blockSize }) => blockSize === size) ?? none(size)),
  };
}
