// Interface of a request to an engine, for both HTTP clients: the part of undici's that the gateway uses.

import type { IncomingHttpHeaders } from 'node:http';
import type { SpanEdit } from '../../wire/json-members.ts';

export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  /** Alternating names and values. */
  readonly headers: string[];
  readonly body: Buffer | null;
  /** A change to the body that is made as it is sent; absent or null: none. */
  readonly edit?: SpanEdit | null | undefined;
}

/** Nothing is called after the end, after an error, or after `abort`. */
export interface UpstreamHandler {
  onRequestStart(controller: UpstreamController): void;
  /** Also called for informational answers (1xx). */
  onResponseStart(controller: UpstreamController, status: number, headers: IncomingHttpHeaders): void;
  /** The bytes are valid only during the call. */
  onResponseData(controller: UpstreamController, bytes: Buffer): void;
  onResponseEnd(controller: UpstreamController): void;
  onResponseError(controller: UpstreamController, error: Error): void;
}

export interface UpstreamController {
  /** Ends the request and its connection. */
  abort(reason: Error): void;
  /** Stops reading the answer; bytes that were read already still arrive. */
  pause(): void;
  resume(): void;
}
