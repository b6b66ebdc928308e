// Watches one attempt of an inference request: decides when its answer is tied to the client, and reports its tokens.

import { readWholeAnswer, type WholeAnswer } from '../../wire/answer-dialect.ts';
import { ByteCollector } from '../../wire/byte-collector.ts';
import { readBodyUsage } from '../../wire/completion-chunk.ts';
import type { Call } from '../engines/engine-calls.ts';
import type { AnswerLease } from '../exchange/answer-budget.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { type AnswerApi, dialectOf } from './answer-api.ts';
import type { RelayOutcome } from './attempt-outcome.ts';
import type { AttemptReport } from './attempt-report.ts';
import type { AnswerForm } from './client-answer.ts';
import { EventObserver } from './event-observer.ts';
import { hold, pass, type RelayWatch, type Verdict } from './relay.ts';
import { StreamObserver } from './stream-observer.ts';

/** A longer answer in one piece is not parsed for its usage. */
const observedBodyBytesMax = 4 * 1024 * 1024;

export interface InferenceWatchOptions {
  readonly report: AttemptReport;
  /** Counts the memory held for the answer. */
  readonly memory: AnswerLease;
  /** Prompts times sequences. */
  readonly choices: number;
  readonly api: AnswerApi;
  /** Any engine may hold the response that the request continues: one that does not answers with 404. */
  readonly asksAround?: boolean;
  /** Another engine has begun the answer: only a stream can go on with it. */
  readonly continues?: boolean;
  /** A token of the call has come. */
  onToken(call: Call, nowMs: number): void;
}

export class InferenceWatch implements RelayWatch {
  readonly #options: InferenceWatchOptions;
  readonly #report: AttemptReport;
  #status = 0;
  #observer: StreamObserver | EventObserver | null = null;
  /** The answer so far, if it comes in one piece; null if it is not collected. */
  #body: ByteCollector | null = null;
  #nowMs = 0;
  #lastTokenMs = 0;
  /** The answer has been tied to the client. */
  #passes = false;

  constructor(options: InferenceWatchOptions) {
    this.#options = options;
    this.#report = options.report;
  }

  head(status: number, form: AnswerForm): Verdict {
    this.#status = status;
    if (status !== 200) return this.#refused(status);
    if (this.#options.continues === true && form !== 'stream') {
      return { kind: 'give-up', failure: 'refused', error: new Error('the engine did not stream an answer') };
    }
    if (form === 'whole') {
      this.#body = new ByteCollector(this.#options.memory);
      return pass;
    }
    if (form === 'unreadable-stream') {
      this.#report.unobserved({ kind: 'compressed' });
      return pass;
    }
    const listener = {
      tokens: (choice: number, count: number) => this.#tokens(choice, count),
      totalTokens: (count: number) => this.#report.totalTokens(count),
    };
    const { api, choices, memory } = this.#options;
    const dialect = dialectOf(api);
    this.#observer =
      dialect === null ? new StreamObserver(choices, listener, memory) : new EventObserver(dialect, listener, memory);
    return hold;
  }

  data(chunk: Buffer, call: Call): Verdict {
    if (this.#body !== null) this.#collect(this.#body, chunk);
    if (this.#observer === null) return pass;
    const tooLong = this.#observe(this.#observer, chunk);
    if (tooLong !== null) return { kind: 'break-off', error: tooLong };
    if (this.#lastTokenMs === this.#nowMs) this.#options.onToken(call, this.#nowMs);
    return this.#verdict();
  }

  get over(): boolean {
    return this.#observer?.over === true;
  }

  end(): Error | null {
    if (this.#observer === null || this.#observer.complete || this.#observer.error !== null) return null;
    return new Error('the stream ended before the answer was complete');
  }

  mayMove(silenceMs: number): boolean {
    return this.#report.mayMove(silenceMs);
  }

  settled(outcome: RelayOutcome): void {
    const observer = this.#observer;
    const whole = observer === null ? this.#whole(outcome) : null;
    this.#report.settled({
      outcome,
      status: this.#status,
      streamError: observer?.error ?? null,
      outputTokens: outcome.kind === 'interrupted' ? outcome.tokens : (observer?.outputTokens ?? null),
      usage: whole?.usage ?? observer?.usage ?? 'absent',
      responseId: whole?.responseId ?? (observer instanceof EventObserver ? observer.responseId : null),
    });
  }

  /** 429 and 503 mean full, other 5xx mean failed; 4xx is the client's own error. */
  #refused(status: number): Verdict {
    const isAbsent = status === 404 && this.#options.asksAround === true;
    const known = status === 429 || status === 503 ? 'full' : status >= 500 ? 'error' : isAbsent ? 'absent' : null;
    const continues = this.#options.continues === true;
    const failure = known ?? (continues ? 'refused' : null);
    if (failure === null || (!continues && !this.#report.mayGiveUp(failure))) return pass;
    return { kind: 'give-up', failure, error: new Error(`the engine answered with status ${status}`) };
  }

  #verdict(): Verdict {
    const observer = this.#observer;
    if (this.#passes || observer === null || observer.begun) return this.#pass();
    if (observer.error === null) return hold;
    const isClients = observer.errorStatus !== null && observer.errorStatus < 500;
    if (isClients || !this.#report.mayGiveUp('error')) return this.#pass();
    return { kind: 'give-up', failure: 'error', error: new Error(observer.error) };
  }

  #pass(): Verdict {
    this.#passes = true;
    return pass;
  }

  /** @returns why the rest of the stream can't be read, or null */
  #observe(observer: StreamObserver | EventObserver, chunk: Buffer): Error | null {
    this.#nowMs = performance.now();
    try {
      observer.push(chunk);
      return null;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#report.unobserved({ kind: 'cut', limit: 'eventBytesMax', message: error.message });
      return error;
    }
  }

  #collect(body: ByteCollector, chunk: Buffer): void {
    try {
      if (body.length + chunk.length <= observedBodyBytesMax) {
        body.append(chunk);
        return;
      }
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      this.#report.unobserved({ kind: 'usage-unread', limit: error.limit, message: error.message });
    }
    // Frees the collected part; the client still gets the answer.
    body.take();
    this.#body = null;
  }

  #tokens(choice: number, count: number): void {
    this.#report.tokens(choice, count, this.#nowMs);
    this.#lastTokenMs = this.#nowMs;
  }

  #whole(outcome: RelayOutcome): WholeAnswer | null {
    if (this.#body === null || outcome.kind !== 'answered') return null;
    const dialect = dialectOf(this.#options.api);
    const body = this.#body.take();
    return dialect === null ? { usage: readBodyUsage(body), responseId: null } : readWholeAnswer(dialect, body);
  }
}
