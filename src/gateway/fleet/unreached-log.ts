// Warns about an engine or name that is unreachable: at once, then at growing intervals.

import type { Logger } from 'pino';

const repeatMsMin = 60_000;
const repeatMsMax = 3_600_000;
/** A new reason is logged at once, unless reasons alternate. */
const otherReasonMsMin = 10_000;

export class UnreachedLog {
  readonly #log: Logger;
  readonly #message: string;
  #reason: string | null = null;
  #saidMs = 0;
  #repeatMs = repeatMsMin;

  constructor(log: Logger, message: string) {
    this.#log = log;
    this.#message = message;
  }

  missed(reason: string, nowMs: number): void {
    const sinceMs = nowMs - this.#saidMs;
    const isNews = this.#reason === null || (reason !== this.#reason && sinceMs >= otherReasonMsMin);
    if (!isNews && sinceMs < this.#repeatMs) return;
    this.#repeatMs = isNews ? repeatMsMin : Math.min(repeatMsMax, 2 * this.#repeatMs);
    this.#said(reason, nowMs);
    this.#log.warn({ reason, againInMs: this.#repeatMs }, this.#message);
  }

  /** Call when the loss has been logged elsewhere. */
  lost(reason: string, nowMs: number): void {
    this.#repeatMs = repeatMsMin;
    this.#said(reason, nowMs);
  }

  reached(): void {
    this.#reason = null;
  }

  #said(reason: string, nowMs: number): void {
    this.#reason = reason;
    this.#saidMs = nowMs;
  }
}
