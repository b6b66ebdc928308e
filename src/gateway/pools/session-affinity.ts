// Which worker a session was last placed on, so that its next request finds that worker a little cheaper.
//
// A credit, not a pin: where overlap and load differ by more, they decide. What an engine has cached of a session is
// counted as overlap already, so the default is small: 256 tokens decide between workers that are about equal, while the
// index does not know (yet) what the session left where, and weigh less than the prefill of a usual turn of a chat.

import type { Affinity } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';

export interface SessionAffinityOptions {
  /** What the worker of a session is cheaper by; 0: sessions are not remembered. */
  readonly creditTokens: number;
  /** The session not used for the longest time is forgotten first. */
  readonly sessionsMax?: number;
  /** After a longer pause a session is forgotten: a busy engine has dropped its blocks by then. */
  readonly pauseMsMax?: number;
}

/** A key is cut here; sessions that agree so far share a credit, which does no harm. */
const keyLengthMax = 256;

interface Session {
  readonly worker: Worker;
  readonly usedMs: number;
}

export class SessionAffinity {
  readonly #creditTokens: number;
  readonly #sessionsMax: number;
  readonly #pauseMsMax: number;
  /** In order of use: the first was not used for the longest time. */
  readonly #sessions = new Map<string, Session>();

  constructor({ creditTokens, sessionsMax = 65_536, pauseMsMax = 1_800_000 }: SessionAffinityOptions) {
    this.#creditTokens = creditTokens;
    this.#sessionsMax = sessionsMax;
    this.#pauseMsMax = pauseMsMax;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @param key null: the request belongs to no session. @returns null where nothing speaks for any worker */
  affinity(key: string | null, nowMs: number): Affinity | null {
    if (key === null) return null;
    const session = this.#sessions.get(cut(key));
    if (session === undefined || nowMs - session.usedMs > this.#pauseMsMax) return null;
    const { membership } = session.worker;
    return membership === null ? null : { worker: membership.index, tokens: this.#creditTokens };
  }

  /** A request of the session was placed there. */
  placed(key: string | null, worker: Worker, nowMs: number): void {
    if (key === null || this.#creditTokens === 0) return;
    const name = cut(key);
    this.#sessions.delete(name);
    this.#sessions.set(name, { worker, usedMs: nowMs });
    this.#forget(nowMs);
  }

  /** A worker that has left the pool: its index may be another's from now on. */
  workerGone(worker: Worker): void {
    for (const [name, session] of this.#sessions) if (session.worker === worker) this.#sessions.delete(name);
  }

  #forget(nowMs: number): void {
    for (const [name, { usedMs }] of this.#sessions) {
      if (this.#sessions.size <= this.#sessionsMax && nowMs - usedMs <= this.#pauseMsMax) return;
      this.#sessions.delete(name);
    }
  }
}

function cut(key: string): string {
  return key.slice(0, keyLengthMax);
}
