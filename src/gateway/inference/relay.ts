// Carries one request to one engine and its answer back to the client, byte for byte, with backpressure both ways.

import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { RequestError } from '../../wire/openai-error.ts';
import type { Engine } from '../engines/engine.ts';
import { type Call, EngineSilent } from '../engines/engine-calls.ts';
import type { UpstreamFailure } from '../engines/upstream.ts';
import type { Exchange } from '../http/exchange.ts';
import { type ClientAnswer, isEventStream } from './client-answer.ts';

/**
 * Why an engine's answer was no use. Beyond the failures of its connection: `cut`: the connection ended before the
 * first token. `silent`: nothing came any more. `full`: it takes no more requests. `error`: it answered that it failed.
 */
export type AttemptFailure = UpstreamFailure | 'cut' | 'silent' | 'full' | 'error';

/** How an attempt ended. */
export type RelayOutcome =
  /** The client has the engine's whole answer. */
  | { readonly kind: 'answered'; readonly status: number }
  /**
   * The client has seen nothing of this engine: another one may be tried. `innocent`: the engine was failing already
   * when it got the request.
   */
  | { readonly kind: 'unanswered'; readonly failure: AttemptFailure; readonly error: Error; readonly innocent: boolean }
  /** The engine's answer ended early; the client has been told. */
  | { readonly kind: 'cut'; readonly status: number; readonly error: Error }
  | { readonly kind: 'gone' };

/** What is to become of what an engine has sent so far. */
export type Verdict =
  | { readonly kind: 'pass' }
  | { readonly kind: 'hold' }
  | { readonly kind: 'give-up'; readonly failure: AttemptFailure; readonly error: Error };

export const pass: Verdict = { kind: 'pass' };
export const hold: Verdict = { kind: 'hold' };

/** Sees the answer go by, and says when it becomes the client's. Nothing of it is called after `settled`. */
export interface RelayWatch {
  head(status: number, eventStream: boolean): Verdict;
  /** What it returns counts as long as the answer is held. */
  data(chunk: Buffer, call: Call): Verdict;
  /** @returns why the answer is not complete although the engine ended it in order, or null */
  end(): Error | null;
  /** Called once, synchronously with the event that ended the attempt. */
  settled(outcome: RelayOutcome): void;
}

export interface RelayTarget {
  readonly engine: Engine;
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly body: Buffer | null;
  /** Added to the engine's response headers. */
  readonly extraHeaders: readonly string[];
  /** The client asks for a stream. */
  readonly stream: boolean;
}

/** An engine that dies sooner was likely dying when it got the request. */
const quickDeathMs = 100;

class GivenUp extends Error {
  override readonly name = 'GivenUp';
}

/** One for all: nobody reads its stack, and to write one for each of many clients that go at once takes time. */
const givenUp = new GivenUp();

export function relay(exchange: Exchange, answer: ClientAnswer, target: RelayTarget, watch: RelayWatch): void {
  new Relay(exchange, answer, target, watch).start();
}

class Relay implements Dispatcher.DispatchHandler, Call {
  readonly form: 'stream' | 'whole';
  lastTokenMs: number | null = null;
  paused = false;
  readonly #exchange: Exchange;
  readonly #answer: ClientAnswer;
  readonly #target: RelayTarget;
  readonly #watch: RelayWatch;
  #controller: Dispatcher.DispatchController | null = null;
  #settled = false;
  /** 0: no answer yet. */
  #status = 0;
  #tied = false;
  #bodyBegan = false;
  #fresh = false;
  #dispatchedMs = 0;
  /** Of the engine when it got the request; null: it was idle, so nothing was to be heard. */
  #heardBefore: number | null = null;

  constructor(exchange: Exchange, answer: ClientAnswer, target: RelayTarget, watch: RelayWatch) {
    this.form = target.stream ? 'stream' : 'whole';
    this.#exchange = exchange;
    this.#answer = answer;
    this.#target = target;
    this.#watch = watch;
  }

  start(): void {
    const { calls } = this.#target.engine;
    if (calls.count > 0) this.#heardBefore = calls.heardCount;
    calls.open(this);
    this.#exchange.whenGone(() => this.#clientGone());
    if (!this.#settled) this.#dispatch();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(givenUp);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusMessage?: string,
  ): void {
    if (status < 200 || this.#settled) return;
    this.#target.engine.calls.heard();
    this.#status = status;
    this.#answer.begin({ status, statusMessage, headers, extraHeaders: this.#target.extraHeaders });
    this.#obey(this.#watch.head(status, isEventStream(headers)));
    // Where the first bytes of the body come with the head, both leave in one segment.
    queueMicrotask(() => {
      if (this.#tied && !this.#bodyBegan && !this.#settled) this.#answer.flushHead();
    });
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return;
    this.#target.engine.calls.heard();
    this.#bodyBegan = true;
    const verdict = this.#watch.data(chunk, this);
    if (this.#tied) {
      if (!this.#answer.write(chunk)) this.#pause();
      return;
    }
    const more = this.#answer.hold(chunk);
    this.#obey(verdict.kind === 'hold' && !more ? pass : verdict);
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    const incomplete = this.#watch.end();
    if (incomplete !== null) {
      this.#fail('error', incomplete);
      return;
    }
    if (!this.#tied) this.#answer.tie();
    this.#answer.end();
    this.#settle({ kind: 'answered', status: this.#status });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#settled) return;
    if (this.#status !== 0) {
      this.#fail('cut', error);
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

  breakOff(error: Error): void {
    if (this.#settled) return;
    this.#fail(error instanceof EngineSilent ? 'silent' : 'cut', error);
    this.#controller?.abort(givenUp);
  }

  #dispatch(): void {
    const { engine, method, path, headers, body } = this.#target;
    this.#dispatchedMs = performance.now();
    engine.upstream.dispatch({ method, path, headers, body }, this, this.#fresh);
  }

  #obey(verdict: Verdict): void {
    switch (verdict.kind) {
      case 'hold':
        return;
      case 'pass':
        this.#tied = true;
        this.#exchange.response.on('drain', () => this.#resume());
        if (!this.#answer.tie()) this.#pause();
        return;
      case 'give-up':
        this.#settleUnanswered(verdict.failure, verdict.error);
        this.#controller?.abort(givenUp);
    }
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
    // Where a limit has ended it, the client still hears of that.
    if (this.#exchange.limit !== null) this.#answer.flushEvent();
    this.#settle({ kind: 'gone' });
    this.#controller?.abort(givenUp);
  }

  /** The engine failed: the client hears of it only if it has had something of this engine. */
  #fail(failure: AttemptFailure, error: Error): void {
    if (!this.#tied) {
      this.#settleUnanswered(failure, error);
      return;
    }
    this.#settle({ kind: 'cut', status: this.#status, error });
    this.#answer.cut(new RequestError(502, 'upstream_failed', 'the engine broke off its answer'));
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
    this.#target.engine.calls.close(this);
    this.#watch.settled(outcome);
  }
}
