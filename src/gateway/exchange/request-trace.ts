// The trace of one request, as the code that serves the request sees it: what is told to it, and what an engine gets of it.
//
// Where no collector is configured there is no trace (null), and nothing of this is called.

import type { AttemptRecord } from './attempt-record.ts';

/** What a request asks for, as far as it is known. */
export interface AskedOf {
  readonly model: string;
  /** Null: not known. */
  readonly stream: boolean | null;
  readonly maxOutputTokens: number | null;
  /** Sequences sampled from each prompt. */
  readonly sequences: number;
}

/** Times are as of `performance.now()`. No method throws. */
export interface RequestTrace {
  /** Null if the trace is not sampled. */
  readonly traceId: string | null;
  /** `traceparent` and, if there is one, `tracestate`, for the engine of the latest attempt: names and values. */
  readonly headers: readonly string[];
  asks(asked: AskedOf): void;
  /** Prompts have been turned into tokens. @param known the least that is known of them */
  tokenized(startMs: number, endMs: number, known: string): void;
  /** A worker is looked for. */
  placing(): void;
  /** It has left the queue, just now. */
  waited(waitedMs: number): void;
  /** A choice begins; of several for one attempt the last one counts. */
  choosing(): void;
  /** A worker is chosen, and the request booked on it. */
  placed(): void;
  /** An attempt at the chosen worker begins. */
  attempt(record: AttemptRecord, engineUrl: string): AttemptTrace;
  /** The client has its answer, or is gone. Called once. @param status as in the metrics */
  ended(status: number, limit: string | null): void;
}

/** The trace of one attempt; everything else is read from its record. */
export interface AttemptTrace {
  /** `ttftMs` of the record is set. */
  firstToken(): void;
  /** The record is complete. Called once. */
  ended(): void;
}
