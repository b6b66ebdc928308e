// A shadow's request to its engine: the answer is observed as that of a real request, and dropped.

import type { IncomingHttpHeaders } from 'node:http';
import type { Engine } from '../engines/engine.ts';
import { type Call, EngineSilent } from '../engines/engine-calls.ts';
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from '../engines/upstream-handler.ts';
import type { AttemptFailure, RelayOutcome } from './attempt-outcome.ts';
import { formOf } from './client-answer.ts';
import { ownLimit } from './own-limit.ts';
import { lingerMsMax, type RelayWatch } from './relay.ts';

class Ended extends Error {
  override readonly name = 'Ended';
}

/** Shared: nobody reads its stack. */
const ended = new Ended();

export class ShadowCall implements UpstreamHandler, Call {
  readonly form: 'stream' | 'whole';
  lastTokenMs: number | null = null;
  /** Nobody reads slowly here. */
  paused = false;
  readonly #engine: Engine;
  readonly #watch: RelayWatch;
  #resolve: (outcome: RelayOutcome) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #controller: UpstreamController | null = null;
  #settled = false;
  #status = 0;
  #sentMs = 0;
  /** Runs once the answer is over. */
  #lingering: NodeJS.Timeout | null = null;

  constructor(engine: Engine, watch: RelayWatch, form: 'stream' | 'whole') {
    this.#engine = engine;
    this.#watch = watch;
    this.form = form;
  }

  /** Settles when the answer has ended. Rejects on a fault of the gateway; the connection is closed then. */
  run(request: UpstreamRequest): Promise<RelayOutcome> {
    if (this.#settled) return Promise.resolve({ kind: 'gone' });
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#engine.calls.open(this);
      this.#sentMs = performance.now();
      this.#guard(() => this.#engine.upstream.dispatch(request, this, false));
    });
  }

  /** Nobody wants it any more. */
  end(): void {
    this.#guard(() => this.#settle({ kind: 'gone' }));
    this.#controller?.abort(ended);
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(ended);
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#guard(() => {
      this.#engine.calls.heard();
      this.#status = status;
      // Whatever the verdict, nothing is sent on and no other engine is tried.
      this.#watch.head(status, formOf(headers));
    });
  }

  onResponseData(_controller: UpstreamController, bytes: Buffer): void {
    this.#guard(() => {
      this.#engine.calls.heard();
      const verdict = this.#watch.data(bytes, this);
      if (verdict.kind === 'break-off') this.breakOff(verdict.error);
      else if (this.#watch.over === true) this.#linger();
    });
  }

  onResponseEnd(): void {
    this.#guard(() => {
      const error = this.#watch.end();
      const status = this.#status;
      this.#settle(error === null ? { kind: 'answered', status } : { kind: 'cut', status, error });
    });
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    this.#guard(() => {
      const failure = this.#engine.upstream.classify(error, performance.now() - this.#sentMs);
      this.#fail(failure, ownLimit(error) ?? error);
    });
  }

  breakOff(error: Error): void {
    this.#guard(() => this.#fail(error instanceof EngineSilent ? 'silent' : 'cut', error));
    this.#controller?.abort(ended);
  }

  moveIfFaster(): void {
    // A shadow stays where it was placed.
  }

  #linger(): void {
    this.#lingering ??= setTimeout(() => {
      this.onResponseEnd();
      this.#controller?.abort(ended);
    }, lingerMsMax);
  }

  #fail(failure: AttemptFailure, error: Error): void {
    const status = this.#status;
    if (status === 0) this.#settle({ kind: 'unanswered', failure, error, innocent: true });
    else this.#settle({ kind: 'cut', status, error });
  }

  #settle(outcome: RelayOutcome): void {
    this.#settled = true;
    if (this.#lingering !== null) clearTimeout(this.#lingering);
    this.#engine.calls.close(this);
    this.#watch.settled(outcome);
    this.#resolve(outcome);
  }

  /** Runs a step of a call that has not ended. The callers are sockets and timers, which catch nothing. */
  #guard(step: () => void): void {
    if (this.#settled) return;
    try {
      step();
    } catch (error) {
      this.#settled = true;
      this.#engine.calls.close(this);
      this.#controller?.abort(ended);
      this.#reject(error);
    }
  }
}
