// What a front and the owner tell each other. A front is a process that holds connections of clients: it reads, tokenizes
// and relays. The owner is the process that knows engines, caches and load: it chooses and books.
//
// Times are in milliseconds of the clock that both share (shared-clock.ts). A request is named by a number of its front.

import type { Prompt } from '../../core/index.ts';
import type { UsageReading } from '../../wire/completion-chunk.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { ListenerTls } from '../config/pem-files.ts';
import type { ClientKey } from '../config/tenants.ts';
import type { UpstreamTls } from '../engines/upstream.ts';
import type { SentError } from '../exchange/sent-error.ts';
import type { LimitedKey } from '../http/key-limits.ts';
import type { AttemptFailure } from '../inference/attempt-outcome.ts';
import type { Unobserved } from '../inference/attempt-report.ts';
import type { EngineAddress } from '../inference/attempts.ts';
import type { InferenceRequest } from '../inference/request-intake.ts';
import type { RoutingOverrides } from '../inference/routing-overrides.ts';

/** What the owner needs to trace a request; front and owner need not agree on whether it is sampled. */
export interface SentTrace {
  readonly method: string;
  readonly path: string;
  readonly traceparent: string | null;
  readonly tracestate: string | null;
}

/** A request to place: all its prompts are known in tokens. */
export interface AskedRequest {
  readonly requestId: string;
  /** Its arrival. */
  readonly sharedMs: number;
  readonly model: string;
  readonly key: LimitedKey | null;
  readonly request: Pick<InferenceRequest, 'maxOutputTokens' | 'sequences' | 'stream'>;
  readonly overrides: RoutingOverrides;
  /** With hashes of the block sizes that the front was told. */
  readonly prompts: readonly Prompt[];
  /** With the times at which its tokens were asked for and known; null: requests are not traced. */
  readonly trace: (SentTrace & { readonly readMs: number; readonly tokensMs: number }) | null;
}

/** `RelayOutcome` as it crosses. */
export type SentOutcome =
  | { readonly kind: 'answered'; readonly status: number }
  | {
      readonly kind: 'unanswered';
      readonly failure: AttemptFailure;
      readonly error: SentError;
      readonly innocent: boolean;
    }
  | { readonly kind: 'cut'; readonly status: number; readonly error: SentError }
  | {
      readonly kind: 'interrupted';
      readonly status: number;
      readonly failure: AttemptFailure;
      readonly error: SentError;
      readonly tokens: number;
    }
  | { readonly kind: 'gone' };

/** `AttemptEnd` as it crosses. */
export interface SentEnd {
  readonly outcome: SentOutcome;
  readonly status: number;
  readonly streamError: string | null;
  readonly outputTokens: number | null;
  readonly usage: UsageReading;
  readonly responseId: string | null;
}

/** A request that has ended, for metrics and log. */
export interface SentAccount {
  readonly requestId: string;
  readonly sharedMs: number;
  readonly method: string;
  readonly path: string;
  readonly model: string | null;
  readonly key: string | null;
  readonly limit: string | null;
  readonly status: number;
  /** Null: requests are not traced, or the owner has begun the trace. */
  readonly trace: SentTrace | null;
}

/** What a front holds now. */
export interface FrontFigures {
  /** By state of their slot. */
  readonly connections: Readonly<Record<string, number>>;
  readonly bodyBytes: number;
  readonly answerBytes: number;
}

export interface TokensMessage {
  readonly kind: 'tokens';
  readonly request: number;
  readonly choice: number;
  count: number;
  /** Their arrival; of several that were joined, the last one's. */
  sharedMs: number;
}

export type FrontMessage =
  | { readonly kind: 'started' }
  | { readonly kind: 'asked'; readonly request: number; readonly asked: AskedRequest }
  /** The client is gone, and no attempt is under way. */
  | { readonly kind: 'gone'; readonly request: number }
  | TokensMessage
  | { readonly kind: 'total'; readonly request: number; readonly count: number }
  | { readonly kind: 'unobserved'; readonly request: number; readonly why: Unobserved }
  /** Bytes of an answer came from the engine. */
  | { readonly kind: 'heard'; readonly engine: number }
  | { readonly kind: 'paused' | 'resumed'; readonly request: number }
  | { readonly kind: 'settled'; readonly request: number; readonly end: SentEnd }
  /** A fault ended the attempt. */
  | { readonly kind: 'broken'; readonly request: number; readonly error: SentError }
  /** `request` null: it failed before it was placed. */
  | { readonly kind: 'ended'; readonly request: number | null; readonly account: SentAccount }
  | { readonly kind: 'limited'; readonly limit: string }
  /** Connections of clients that have closed. */
  | { readonly kind: 'closed'; readonly count: number }
  /** Also shows that the front's event loop turns. */
  | { readonly kind: 'figures'; readonly figures: FrontFigures }
  | { readonly kind: 'stopped'; readonly brokenOffAnswers: number };

/** Settings as they reach a front. */
export interface FrontSettings {
  readonly config: GatewayConfig;
  readonly apiKeys: readonly ClientKey[];
  readonly tls: ListenerTls | null;
  /** The owner traces requests. */
  readonly traces: boolean;
}

/** A model whose requests a front may read by itself. */
export interface FrontModel {
  /** The setting `tokenizer` of every pool that its requests may go to. */
  readonly tokenizer: string;
  readonly lora: string | null;
  readonly blockSizes: readonly number[];
}

/** Models by name; requests for others are the owner's. */
export type FrontModels = Readonly<Record<string, FrontModel>>;

export interface FrontEngineSpec {
  readonly url: string;
  readonly tls: UpstreamTls;
}

/** An attempt that the front is to make. */
export interface AttemptOrder {
  /** Counts from 1 within its request. */
  readonly number: number;
  readonly engine: number;
  readonly address: EngineAddress;
  /** As the engine lists it. */
  readonly model: string;
  /** Added to the answer's headers. */
  readonly extraHeaders: readonly string[];
  /** Replace the client's headers of its trace; null: those are passed on. */
  readonly traceHeaders: readonly string[] | null;
  /** Another worker is left to try. */
  readonly mayGiveUp: boolean;
}

export type OwnerMessage =
  | { readonly kind: 'start'; readonly settings: FrontSettings; readonly ownerSocket: string }
  | { readonly kind: 'settings'; readonly settings: FrontSettings }
  | { readonly kind: 'models'; readonly models: FrontModels }
  /** Comes before the first attempt at the engine. */
  | { readonly kind: 'engine'; readonly engine: number; readonly spec: FrontEngineSpec }
  | { readonly kind: 'engine-gone'; readonly engine: number }
  | { readonly kind: 'attempt'; readonly request: number; readonly order: AttemptOrder }
  /** Another engine is likely to be faster: end the attempt unless its answer has begun. */
  | {
      readonly kind: 'move';
      readonly request: number;
      readonly number: number;
      readonly silenceMs: number;
      readonly message: string;
    }
  /** The engine's connection is as good as broken. */
  | {
      readonly kind: 'break';
      readonly request: number;
      readonly number: number;
      readonly silent: boolean;
      readonly message: string;
    }
  /** No further attempt follows; `error` is for the client, null: it has its answer. */
  | { readonly kind: 'over'; readonly request: number; readonly error: SentError | null }
  | { readonly kind: 'stop'; readonly graceMs: number };
