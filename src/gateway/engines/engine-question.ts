// Sends one question to an engine and takes its answer piece by piece, until it ends or is given up.

import type { IncomingHttpHeaders } from 'node:http';
import type { Upstream } from './upstream.ts';
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from './upstream-handler.ts';

/** Receives the answer's body. What it throws ends the question. @param bytes valid only during the call */
export type TakeBytes = (bytes: Buffer, status: number) => void;

export class EngineQuestion implements UpstreamHandler {
  readonly #take: TakeBytes;
  #controller: UpstreamController | null = null;
  #settle: { resolve(): void; reject(error: Error): void } | null = null;
  /** 0 until the answer begins. */
  status = 0;
  headers: IncomingHttpHeaders = {};

  constructor(take: TakeBytes) {
    this.#take = take;
  }

  /** Resolves at the end of the answer. To be called once. @throws the connection's error, or why it was given up */
  ask(upstream: Upstream, request: UpstreamRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      upstream.dispatch(request, this);
    });
  }

  /** Ends the question and its connection. Does nothing after its end. */
  giveUp(reason: Error): void {
    if (this.#settle === null) return;
    this.#fail(reason);
    this.#controller?.abort(reason);
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller;
    if (this.#settle === null) controller.abort(new Error('given up'));
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.headers = headers;
  }

  onResponseData(_controller: UpstreamController, bytes: Buffer): void {
    if (this.#settle === null) return;
    try {
      this.#take(bytes, this.status);
    } catch (error) {
      this.giveUp(error as Error);
    }
  }

  onResponseEnd(): void {
    this.#settle?.resolve();
    this.#settle = null;
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    this.#fail(error);
  }

  #fail(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = null;
  }
}
