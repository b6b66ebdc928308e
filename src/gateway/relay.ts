// Carries one request to one engine and its answer back to the client, byte for byte, with backpressure both ways.

import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Exchange } from './exchange.ts';
import { responseHeaders } from './forwarded-headers.ts';
import type { Upstream, UpstreamFailure } from './upstream.ts';

/** How an attempt ended. */
export type RelayOutcome =
  /** The client has the engine's whole answer. */
  | { readonly kind: 'answered'; readonly status: number }
  /** The engine sent nothing, so the client has seen nothing: another engine may be tried. */
  | { readonly kind: 'unanswered'; readonly failure: UpstreamFailure; readonly error: Error }
  /** The engine's answer ended early; the client has been told. */
  | { readonly kind: 'cut'; readonly status: number; readonly error: Error }
  | { readonly kind: 'gone' };

/** Sees the answer go by. Nothing of it is called after `settled`. */
export interface RelayWatch {
  head(status: number, contentType: string): void;
  data(chunk: Buffer): void;
  /** @returns why the answer is not complete although the engine ended it in order, or null */
  end(): Error | null;
  /** Called once, synchronously with the event that ended the attempt. */
  settled(outcome: RelayOutcome): void;
}

export interface RelayTarget {
  readonly upstream: Upstream;
  readonly method: string;
  readonly path: string;
  readonly headers: string[];
  readonly body: Buffer | null;
  /** Added to the engine's response headers. */
  readonly extraHeaders: readonly string[];
}

class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

export function relay(exchange: Exchange, target: RelayTarget, watch: RelayWatch): void {
  new Relay(exchange, target, watch).start();
}

class Relay implements Dispatcher.DispatchHandler {
  readonly #exchange: Exchange;
  readonly #target: RelayTarget;
  readonly #watch: RelayWatch;
  #controller: Dispatcher.DispatchController | null = null;
  #settled = false;
  /** 0: no answer yet. */
  #status = 0;
  #bodyBegan = false;
  #eventStream = false;
  #fresh = false;

  constructor(exchange: Exchange, target: RelayTarget, watch: RelayWatch) {
    this.#exchange = exchange;
    this.#target = target;
    this.#watch = watch;
  }

  start(): void {
    this.#exchange.whenGone(() => this.#clientGone());
    if (!this.#settled) this.#dispatch();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new ClientGone());
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    statusMessage?: string,
  ): void {
    if (status < 200 || this.#settled) return;
    const { response } = this.#exchange;
    const contentType = headers['content-type'] ?? '';
    this.#status = status;
    // An error event can only be appended where the length was not announced.
    this.#eventStream = contentType.startsWith('text/event-stream') && headers['content-length'] === undefined;
    response.writeHead(status, statusMessage, [...responseHeaders(headers), ...this.#target.extraHeaders]);
    response.on('drain', () => controller.resume());
    this.#watch.head(status, contentType);
    // Where the first bytes of the body came with the head, both leave in one segment.
    queueMicrotask(() => {
      if (!this.#bodyBegan && !this.#settled) response.flushHeaders();
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return;
    this.#bodyBegan = true;
    this.#watch.data(chunk);
    if (!this.#exchange.response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    if (this.#settled) return;
    const incomplete = this.#watch.end();
    if (incomplete !== null) {
      this.#cut(incomplete);
      return;
    }
    this.#exchange.response.end();
    this.#settle({ kind: 'answered', status: this.#status });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#settled) return;
    if (this.#status !== 0) {
      this.#cut(error);
      return;
    }
    const failure = this.#target.upstream.classify(error);
    if (failure === 'stale' && !this.#fresh) {
      this.#fresh = true;
      this.#dispatch();
      return;
    }
    this.#settle({ kind: 'unanswered', failure, error });
  }

  #dispatch(): void {
    const { upstream, method, path, headers, body } = this.#target;
    upstream.dispatch({ method, path, headers, body }, this, this.#fresh);
  }

  #clientGone(): void {
    if (this.#settled) return;
    this.#settle({ kind: 'gone' });
    this.#controller?.abort(new ClientGone());
  }

  #cut(error: Error): void {
    const { response } = this.#exchange;
    this.#settle({ kind: 'cut', status: this.#status, error });
    if (!this.#eventStream) {
      response.destroy();
      return;
    }
    const body = {
      error: { message: 'the engine broke off its answer', type: 'server_error', param: null, code: 'upstream_failed' },
    };
    // The blank line in front ends an event that may have come in part.
    response.end(`\n\ndata: ${JSON.stringify(body)}\n\n`);
  }

  #settle(outcome: RelayOutcome): void {
    this.#settled = true;
    this.#watch.settled(outcome);
  }
}
