// Relays one request to one engine and the answer back, byte for byte, with backpressure both ways.

import type { IncomingHttpHeaders } from 'node:http';
import type { SpanEdit } from '../../wire/json-members.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { AnsweringEngine } from '../engines/answering-engine.ts';
import { type Call, EngineSilent } from '../engines/engine-calls.ts';
import type { UpstreamController, UpstreamHandler } from '../engines/upstream-handler.ts';
import type { Exchange } from '../exchange/exchange.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import type { AttemptFailure, RelayOutcome } from './attempt-outcome.ts';
import { type AnswerForm, type ClientAnswer, formOf } from './client-answer.ts';
import { ownLimit } from './own-limit.ts';

/** What to do with the bytes received so far. */
export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'hold' }
  | { readonly kind: 'give-up'; readonly failure: AttemptFailure; readonly error: Error }
  /** The bytes can't be an answer: end the attempt, and the client's answer if it has begun. */
  | { readonly kind: 'break-off'; readonly error: Error };

export const pass: Verdict = { kind: 'pass' };
export const hold: Verdict = { kind: 'hold' };

/** Observes an answer and decides when it is tied to the client. Nothing is called after `settled`. */
export interface RelayWatch {
  head(status: number, form: AnswerForm): Verdict;
  /** The verdict matters only while the answer is held, except for `break-off`. */
  data(chunk: Buffer, call: Call): Verdict;
  /** The engine has sent the end of its answer. Absent: it can't be told. */
  readonly over?: boolean;
  /** @returns why the answer is incomplete although the response ended normally, or null */
  end(): Error | null;
  /** Whether another engine is likely to be faster, given that this one has sent nothing for `silenceMs`. */
  mayMove(silenceMs: number): boolean;
  /** Called once, in the event that ended the attempt, unless a fault of the gateway ended it. */
  settled(outcome: RelayOutcome): void;
}

export interface RelayTarget {
  readonly engine: AnsweringEngine;
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly body: Buffer | null;
  /** A change to the body that is made as it is sent; absent or null: none. */
  readonly edit?: SpanEdit | null;
  /** Added to the engine's response headers. */
  readonly extraHeaders: readonly string[];
  /** The client asked for a stream. */
  readonly stream: boolean;
}

/** An engine that resets the connection sooner was probably dying when it got the request. */
const quickDeathMs = 100;

/** Time for an engine to end its response after the end of its answer; then it is ended for it. */
export const lingerMsMax = 1000;

class GivenUp extends Error {
  override readonly name = 'GivenUp';
}

/** Shared: nobody reads its stack, and capturing one per client is slow when many leave at once. */
const givenUp = new GivenUp();

/**
 * Settles when the attempt has ended. Rejects on a fault of the gateway: the connection to the engine is closed, and
 * the caller answers the client.
 */
export function relay(
  exchange: Exchange,
  answer: ClientAnswer,
  target: RelayTarget,
  watch: RelayWatch,
): Promise<RelayOutcome> {
  return new Promise((resolve, reject) => {
    new Relay(exchange, answer, target, { watch, resolve, reject }).start();
  });
}

/** The receivers of an attempt's events. */
interface Listeners {
  readonly watch: RelayWatch;
  resolve(outcome: RelayOutcome): void;
  reject(error: unknown): void;
}

class Relay implements UpstreamHandler, Call {
  readonly form: 'stream' | 'whole';
  lastTokenMs: number | null = null;
  paused = false;
  readonly #exchange: Exchange;
  readonly #answer: ClientAnswer;
  readonly #target: RelayTarget;
  readonly #watch: RelayWatch;
  readonly #listeners: Listeners;
  #controller: UpstreamController | null = null;
  #settled = false;
  /** 0 until the response starts. */
  #status = 0;
  #tied = false;
  #bodyBegan = false;
  #fresh = false;
  #dispatchedMs = 0;
  /** Runs once the answer is over. */
  #lingering: NodeJS.Timeout | null = null;
  /**
   * The engine's `heardCount` when it got the request; null if the engine was idle, so nothing was expected from it.
   */
  #heardBefore: number | null = null;

  constructor(exchange: Exchange, answer: ClientAnswer, target: RelayTarget, listeners: Listeners) {
    this.form = target.stream ? 'stream' : 'whole';
    this.#exchange = exchange;
    this.#answer = answer;
    this.#target = target;
    this.#watch = listeners.watch;
    this.#listeners = listeners;
  }

  start(): void {
    const { calls } = this.#target.engine;
    if (calls.count > 0) this.#heardBefore = calls.heardCount;
    calls.open(this);
    try {
      this.#exchange.whenGone(() => this.#clientGone());
      if (!this.#settled) this.#dispatch();
    } catch (error) {
      this.#breakDown(error);
    }
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(givenUp);
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#settled) return;
    this.#target.engine.calls.heard();
    this.#status = status;
    try {
      // A redirect is not passed on: it points to an address that clients usually can't reach. The operator sees it in
      // the log.
      if (status < 400 && status >= 300) {
        const error = new Error(`it redirected the request (status ${status}), which kvoyant does not follow`);
        this.#obey({ kind: 'give-up', failure: 'error', error });
        return;
      }
      this.#answer.begin({ status, headers, extraHeaders: this.#target.extraHeaders });
      this.#obey(this.#watch.head(status, formOf(headers)));
    } catch (error) {
      this.#breakDown(error);
      return;
    }
    // If the first bytes of the body arrive with the head, both leave in one segment.
    queueMicrotask(() => {
      if (this.#tied && !this.#bodyBegan && !this.#settled) this.#answer.flushHead();
    });
  }

  onResponseData(_controller: UpstreamController, chunk: Buffer): void {
    if (this.#settled) return;
    this.#target.engine.calls.heard();
    this.#bodyBegan = true;
    try {
      this.#data(chunk);
      if (this.#watch.over === true) this.#linger();
    } catch (error) {
      this.#refuse(error);
    }
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    try {
      this.#end();
    } catch (error) {
      this.#refuse(error);
    }
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    if (this.#settled) return;
    try {
      this.#connectionFailed(error);
    } catch (fault) {
      this.#breakDown(fault);
    }
  }

  breakOff(error: Error): void {
    if (this.#settled) return;
    try {
      this.#fail(error instanceof EngineSilent ? 'silent' : 'cut', error);
    } catch (fault) {
      this.#breakDown(fault);
    }
    this.#controller?.abort(givenUp);
  }

  moveIfFaster(silenceMs: number, error: Error): void {
    if (this.#settled || this.#tied) return;
    try {
      if (!this.#watch.mayMove(silenceMs)) return;
      this.#settleUnanswered('stalled', error);
    } catch (fault) {
      this.#breakDown(fault);
    }
    this.#controller?.abort(givenUp);
  }

  #data(chunk: Buffer): void {
    const verdict = this.#watch.data(chunk, this);
    if (verdict.kind === 'break-off') {
      this.#fail('error', verdict.error);
      this.#controller?.abort(givenUp);
      return;
    }
    if (this.#tied) {
      this.#sent(this.#answer.write(chunk));
      return;
    }
    const more = this.#answer.hold(chunk);
    this.#obey(verdict.kind === 'hold' && !more ? pass : verdict);
  }

  #linger(): void {
    if (this.#settled || this.#lingering !== null) return;
    this.#lingering = setTimeout(() => {
      this.onResponseEnd();
      this.#controller?.abort(givenUp);
    }, lingerMsMax);
  }

  #end(): void {
    const incomplete = this.#watch.end();
    if (incomplete !== null) {
      this.#fail('error', incomplete);
      return;
    }
    if (!this.#tied) {
      this.#tied = true;
      this.#answer.tie();
      if (this.#answer.fault !== null) {
        this.#fail('error', this.#answer.fault);
        return;
      }
    }
    this.#answer.end();
    this.#settle({ kind: 'answered', status: this.#status });
  }

  #connectionFailed(error: Error): void {
    if (this.#target.engine.upstream.isUnsendable(error)) {
      throw new RequestError(400, 'malformed_request', `the request can't be forwarded: ${error.message}`);
    }
    if (this.#status !== 0) {
      this.#fail('cut', error);
      return;
    }
    const ours = ownLimit(error);
    if (ours !== null) {
      this.#settleUnanswered('unreachable', ours);
      return;
    }
    const failure = this.#target.engine.upstream.classify(error, this.#heldMs());
    if (failure === 'stale' && !this.#fresh) {
      this.#fresh = true;
      this.#dispatch();
      return;
    }
    this.#settleUnanswered(failure, error);
  }

  #dispatch(): void {
    const { engine, method, path, headers, body, edit } = this.#target;
    this.#dispatchedMs = performance.now();
    engine.upstream.dispatch({ method, path, headers, body, edit }, this, this.#fresh);
  }

  #obey(verdict: Verdict): void {
    switch (verdict.kind) {
      case 'hold':
        return;
      case 'pass':
        this.#tied = true;
        this.#exchange.response.on('drain', () => this.#resume());
        this.#sent(this.#answer.tie());
        return;
      case 'give-up':
        this.#settleUnanswered(verdict.failure, verdict.error);
        this.#controller?.abort(givenUp);
        return;
      case 'break-off':
        this.#fail('error', verdict.error);
        this.#controller?.abort(givenUp);
    }
  }

  /** @param more the client takes more now */
  #sent(more: boolean): void {
    const { fault } = this.#answer;
    if (fault !== null) {
      this.#fail('error', fault);
      this.#controller?.abort(givenUp);
    } else if (!more) this.#pause();
  }

  #pause(): void {
    this.#target.engine.calls.pause(this);
    this.#controller?.pause();
  }

  #resume(): void {
    if (!this.paused || this.#settled) return;
    this.#target.engine.calls.resume(this);
    this.#controller?.resume();
  }

  #clientGone(): void {
    if (this.#settled) return;
    this.#settle({ kind: 'gone' });
    this.#controller?.abort(givenUp);
  }

  /** Ends an attempt whose engine failed. The client learns of it only if it has received part of this answer. */
  #fail(failure: AttemptFailure, error: Error): void {
    if (!this.#tied) {
      this.#settleUnanswered(failure, error);
      return;
    }
    const tokens = error instanceof LimitReached ? null : this.#answer.interrupt();
    if (tokens !== null) {
      this.#settle({ kind: 'interrupted', status: this.#status, failure, error, tokens });
      return;
    }
    this.#settle({ kind: 'cut', status: this.#status, error });
    const brokenOff = new RequestError(502, 'upstream_failed', 'the engine broke off its answer');
    this.#answer.cut(error instanceof LimitReached ? error : brokenOff);
  }

  #heldMs(): number {
    return performance.now() - this.#dispatchedMs;
  }

  #settleUnanswered(failure: AttemptFailure, error: Error): void {
    this.#answer.drop();
    const unheard = this.#heardBefore === this.#target.engine.calls.heardCount;
    const innocent = unheard || (failure === 'reset' && this.#heldMs() < quickDeathMs);
    this.#settle({ kind: 'unanswered', failure, error, innocent });
  }

  #settle(outcome: RelayOutcome): void {
    this.#settled = true;
    if (this.#lingering !== null) clearTimeout(this.#lingering);
    this.#target.engine.calls.close(this);
    try {
      this.#watch.settled(outcome);
      this.#listeners.resolve(outcome);
    } catch (error) {
      this.#listeners.reject(error);
    }
  }

  /** Ends the attempt if the engine's bytes exceed a limit; any other error is a fault of the gateway. */
  #refuse(error: unknown): void {
    if (!(error instanceof LimitReached) || this.#settled) {
      this.#breakDown(error);
      return;
    }
    try {
      this.#fail('error', error);
    } catch (fault) {
      this.#breakDown(fault);
    }
    this.#controller?.abort(givenUp);
  }

  /**
   * Ends the attempt after a fault of the gateway. Nothing above would catch it: the callers are sockets and timers.
   */
  #breakDown(error: unknown): void {
    if (!this.#settled) {
      this.#settled = true;
      this.#target.engine.calls.close(this);
    }
    this.#controller?.abort(givenUp);
    this.#listeners.reject(error);
  }
}
