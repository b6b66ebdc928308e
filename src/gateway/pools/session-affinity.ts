// Remembers the worker that last served a session and gives it a small credit for the next request.
//
// It is a credit, not a pin: larger differences in overlap or load outweigh it. What the engine has cached counts as
// overlap already, so the default of 256 tokens only decides between nearly equal workers while the index does not know
// yet where the session's blocks are. It is less than the prefill of a usual chat turn.

import type { Affinity } from '../../core/index.ts';
import { ownCopy } from '../../tokens/own-copy.ts';
import type { Worker } from '../engines/engine.ts';

export interface SessionAffinityOptions {
  /** Credit for the session's worker; 0 disables affinity. */
  readonly creditTokens: number;
  /** Beyond it, the least recently used session is dropped. */
  readonly sessionsMax?: number;
  /** A session idle for longer is dropped: a busy engine has evicted its blocks by then. */
  readonly pauseMsMax?: number;
}

/** Keys are cut to this length; sessions with the same prefix then share a credit, which is harmless. */
const keyLengthMax = 256;

interface Session {
  readonly worker: Worker;
  readonly usedMs: number;
}

/** Tells other replicas where sessions were placed. */
export interface SessionSharing {
  /** The name of a session among replicas. */
  nameOf(key: string): string;
  placed(name: string, worker: Worker): void;
}

export class SessionAffinity {
  readonly #creditTokens: number;
  readonly #sessionsMax: number;
  readonly #pauseMsMax: number;
  /** Null: there are no other replicas. */
  sharing: SessionSharing | null = null;
  /** Least recently used first. */
  readonly #sessions = new Map<string, Session>();

  constructor({ creditTokens, sessionsMax = 65_536, pauseMsMax = 1_800_000 }: SessionAffinityOptions) {
    this.#creditTokens = creditTokens;
    this.#sessionsMax = sessionsMax;
    this.#pauseMsMax = pauseMsMax;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @param key null if the request has no session @returns null if there is no credit to give */
  affinity(key: string | null, nowMs: number): Affinity | null {
    if (key === null) return null;
    const session = this.#sessions.get(this.#nameOf(key));
    if (session === undefined || nowMs - session.usedMs > this.#pauseMsMax) return null;
    const { membership } = session.worker;
    return membership === null ? null : { worker: membership.index, tokens: this.#creditTokens };
  }

  /** Records that a request of the session was placed on the worker. */
  placed(key: string | null, worker: Worker, nowMs: number): void {
    if (key === null || this.#creditTokens === 0) return;
    const name = this.#nameOf(key);
    this.#remember(name, worker, nowMs);
    this.sharing?.placed(name, worker);
  }

  /** Another replica has placed a request of this session. @param name as its `SessionSharing` names it */
  placedElsewhere(name: string, worker: Worker, nowMs: number): void {
    if (this.#creditTokens > 0) this.#remember(name, worker, nowMs);
  }

  /** Drops the sessions of a worker that left the pool: its index may be reused. */
  workerGone(worker: Worker): void {
    for (const [name, session] of this.#sessions) if (session.worker === worker) this.#sessions.delete(name);
  }

  #nameOf(key: string): string {
    return this.sharing === null ? cut(key) : this.sharing.nameOf(cut(key));
  }

  #remember(name: string, worker: Worker, nowMs: number): void {
    this.#sessions.delete(name);
    this.#sessions.set(ownCopy(name), { worker, usedMs: nowMs });
    this.#forget(nowMs);
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
