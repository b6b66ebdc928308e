// The contract between gateway and page: what the page fetches, and what its stream sends.
//
// Types only, and imports of types only, so that the browser's code can share them. Times are Unix milliseconds unless they end
// in `Ms` after a noun of duration. Null always means: not known, or not yet.
//
//   GET  /page/session            PageSession     open: holds no data
//   POST /page/login              LoginRequest -> PageSession and a cookie; 401 for a wrong key, 429 for too many tries
//   POST /page/logout             PageSession
//   GET  /page/snapshot           Snapshot
//   GET  /page/history            History         ?span=fine|coarse, &worker=ID (without it: the fleet)
//   GET  /page/decisions          DecisionList    ?worker=ID &model=NAME &surprise=1 &retry=1 &limit=N
//   GET  /page/decisions/ID       DecisionInFull[] attempts of one request, oldest first; 404 if the log has it no longer
//   GET  /page/prefixes           PrefixMap
//   GET  /page/truth              Truth           ?span=fine|coarse
//   GET  /page/what-if            WhatIf
//   POST /page/what-if            WhatIfRequest -> WhatIf; 409 if one is running
//   GET  /page/doctor             DoctorState
//   POST /page/doctor             DoctorRequest -> DoctorState; 409 if one is running
//   GET  /page/stream             text/event-stream: `event: NAME`, `data: JSON`; names and data in StreamEvents
//   POST, DELETE /workers/ID/drain                as for every operator
//
// Errors are `{ "error": { message, type, code, param } }`. Every POST and DELETE carries the header
// `x-kvoyant-page: 1`. A write by a session with the view key answers 403 `view_only`.

import type { DecisionBatch } from './decision-data.ts';
import type { Finding, Snapshot } from './fleet-data.ts';
import type { Sparklines } from './history-data.ts';
import type { WhatIf } from './what-if-data.ts';

export type * from './decision-data.ts';
export type * from './fleet-data.ts';
export type * from './history-data.ts';
export type * from './prefix-data.ts';
export type * from './truth-data.ts';
export type * from './what-if-data.ts';

/** The session of this browser. */
export interface PageSession {
  /** False: `POST /page/login` first. */
  readonly open: boolean;
  /** Whether a key is needed at all; without one, only this machine has access. */
  readonly needsKey: boolean;
  /** Whether the session may drain workers, run the doctor and ask what-if. */
  readonly mayAct: boolean;
  /** When the session ends; null if it does not. */
  readonly expiresMs: number | null;
}

export interface LoginRequest {
  /** The admin key, or the view key. */
  readonly key: string;
}

export interface DoctorRequest {
  /** Id of a worker. */
  readonly worker: string;
}

export type DoctorState =
  | { readonly kind: 'off'; readonly howTo: string }
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly worker: string; readonly startedMs: number }
  | {
      readonly kind: 'done';
      readonly worker: string;
      readonly timeMs: number;
      readonly findings: readonly Finding[];
      readonly lines: readonly string[];
    }
  | { readonly kind: 'failed'; readonly worker: string; readonly timeMs: number; readonly message: string };

/** Event names of the stream and their data. */
export interface StreamEvents {
  /** At once, then every second. */
  readonly snapshot: Snapshot;
  /** At once, then every 5 seconds. */
  readonly sparklines: Sparklines;
  /** At most 4 times a second. */
  readonly decisions: DecisionBatch;
  /** When a what-if run or the doctor changes its state. */
  readonly 'what-if': WhatIf;
  readonly doctor: DoctorState;
  /** The last event before the gateway ends the stream: reconnect after the given time, or log in again. */
  readonly bye: { readonly reason: 'stopping' | 'signed-out' | 'too-slow'; readonly retryMs: number };
}
