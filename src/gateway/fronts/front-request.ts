// A request that a front has read: the owner places it, attempt by attempt, and the front relays each one.

import { type Call, EngineSilent } from '../engines/engine-calls.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { renamedJson } from '../exchange/renamed-body.ts';
import type { SentError } from '../exchange/sent-error.ts';
import { errorOf, sentError } from '../exchange/sent-error.ts';
import type { AttemptFailure } from '../inference/attempt-outcome.ts';
import type { AttemptEnd, AttemptReport, Unobserved } from '../inference/attempt-report.ts';
import { upstreamHeaders } from '../inference/attempts.ts';
import { wholeBody } from '../inference/body-edits.ts';
import type { ClientAnswer } from '../inference/client-answer.ts';
import { InferenceWatch } from '../inference/inference-watch.ts';
import type { ReadRequest } from '../inference/read-request.ts';
import { relay } from '../inference/relay.ts';
import type { FrontContext } from './front-context.ts';
import type { AskedRequest, AttemptOrder, TokensMessage } from './front-messages.ts';
import type { Ordered, Waiting } from './owner-link.ts';
import { sentOutcome } from './sent-outcome.ts';
import { toSharedMs } from './shared-clock.ts';

export class FrontRequest implements Ordered {
  readonly #context: FrontContext;
  readonly #exchange: Exchange;
  readonly #answer: ClientAnswer;
  readonly #read: ReadRequest;
  readonly #choices: number;
  #number = 0;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  /** The attempt under way; null: none is. */
  #attempt: AttemptOrder | null = null;
  #call: Call | null = null;
  #toldGone = false;

  constructor(context: FrontContext, exchange: Exchange, answer: ClientAnswer, read: ReadRequest, choices: number) {
    this.#context = context;
    this.#exchange = exchange;
    this.#answer = answer;
    this.#read = read;
    this.#choices = choices;
  }

  /** The owner's number of the request. */
  get number(): number {
    return this.#number;
  }

  /** Settles when no attempt follows. Rejects with the error for the client. */
  run(asked: AskedRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#number = this.#context.owner.ask(asked, this);
      this.#tellWhenGone();
    });
  }

  attempt(order: AttemptOrder): void {
    this.#attempt = order;
    this.#relay(order).then(
      () => this.#between(),
      (error: unknown) => {
        this.#between();
        this.#context.owner.post({ kind: 'broken', request: this.#number, error: sentError(error) });
      },
    );
  }

  move(number: number, silenceMs: number, message: string): void {
    if (this.#attempt?.number === number) this.#call?.moveIfFaster(silenceMs, new EngineSilent(message));
  }

  break(number: number, silent: boolean, message: string): void {
    if (this.#attempt?.number !== number) return;
    this.#call?.breakOff(silent ? new EngineSilent(message) : new Error(message));
  }

  over(error: SentError | null): void {
    this.#exchange.whenGone(() => undefined);
    if (error === null) this.#resolve();
    else this.#reject(errorOf(error));
  }

  async #relay(order: AttemptOrder): Promise<void> {
    const { owner, answerBudget } = this.#context;
    const memory = answerBudget.lease();
    try {
      const { request, modelAt } = this.#read;
      const engine = owner.engine(order.engine).attempt({
        opened: (call) => {
          this.#call = call;
        },
        paused: (paused) => owner.post({ kind: paused ? 'paused' : 'resumed', request: this.#number }),
      });
      const report = new RemoteReport(this.#context, this.#number, order);
      const watch = new InferenceWatch({
        report,
        memory,
        choices: this.#choices,
        api: request.api,
        onToken: () => undefined,
      });
      const target = {
        engine,
        stream: request.stream,
        method: 'POST',
        path: this.#exchange.path + this.#exchange.query,
        headers: upstreamHeaders(this.#exchange, order.address, order.traceHeaders),
        body: renamedJson(wholeBody(this.#read), request.model, order.model, modelAt),
        extraHeaders: order.extraHeaders,
      };
      await relay(this.#exchange, this.#answer, target, watch);
    } finally {
      memory.release();
    }
  }

  #between(): void {
    this.#attempt = null;
    this.#call = null;
    this.#tellWhenGone();
  }

  /** While an attempt is under way, its end tells it. */
  #tellWhenGone(): void {
    this.#exchange.whenGone(() => {
      if (this.#toldGone) return;
      this.#toldGone = true;
      this.#context.owner.post({ kind: 'gone', request: this.#number });
    });
  }
}

/** Reports an attempt to the owner by messages. */
class RemoteReport implements AttemptReport, Waiting {
  readonly #context: FrontContext;
  readonly #request: number;
  readonly #order: AttemptOrder;
  /** Tokens of each choice that wait for the next report. The first one does not wait: it ends a prefill. */
  #waiting: TokensMessage[] = [];
  #begun = false;

  constructor(context: FrontContext, request: number, order: AttemptOrder) {
    this.#context = context;
    this.#request = request;
    this.#order = order;
  }

  /** The owner has decided it before it asks. */
  mayMove(): boolean {
    return true;
  }

  mayGiveUp(failure: AttemptFailure): boolean {
    return this.#order.mayGiveUp && (failure === 'full' || this.#context.retryBudget.take(performance.now()));
  }

  tokens(choice: number, count: number, nowMs: number): void {
    const { owner } = this.#context;
    const sharedMs = toSharedMs(nowMs);
    const waiting = this.#waiting.find((message) => message.choice === choice);
    if (waiting !== undefined) {
      waiting.count += count;
      waiting.sharedMs = sharedMs;
      return;
    }
    const message: TokensMessage = { kind: 'tokens', request: this.#request, choice, count, sharedMs };
    if (!this.#begun) {
      this.#begun = true;
      owner.post(message);
      return;
    }
    if (this.#waiting.length === 0) owner.soon(this);
    this.#waiting.push(message);
  }

  post(): void {
    for (const message of this.#waiting) this.#context.owner.post(message);
    this.#waiting = [];
  }

  totalTokens(count: number): void {
    this.post();
    this.#context.owner.post({ kind: 'total', request: this.#request, count });
  }

  unobserved(why: Unobserved): void {
    this.#context.owner.post({ kind: 'unobserved', request: this.#request, why });
  }

  settled(end: AttemptEnd): void {
    this.post();
    const { status, streamError, outputTokens, usage, responseId } = end;
    const sent = { outcome: sentOutcome(end.outcome), status, streamError, outputTokens, usage, responseId };
    this.#context.owner.post({ kind: 'settled', request: this.#request, end: sent });
  }
}
