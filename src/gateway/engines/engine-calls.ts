// The requests under way on one engine: what they still expect of it, and when it was last heard.

import type { EngineHealth, SilenceStep } from './engine-health.ts';

/** One request at an engine. */
export interface Call {
  /** `whole`: the answer comes in one piece. */
  readonly form: 'stream' | 'whole';
  /** When its newest token came; null: none has yet. */
  lastTokenMs: number | null;
  /** Its client does not read, so nothing can come. */
  paused: boolean;
  /** Ends it as if its connection had broken. */
  breakOff(error: Error): void;
  /** Ends it if it has no token and another engine is likely to be faster. @param silenceMs of its engine */
  moveIfFaster(silenceMs: number, error: Error): void;
}

/** The engine has gone silent; its process may still be there. */
export class EngineSilent extends Error {
  override readonly name = 'EngineSilent';
}

export class EngineCalls {
  readonly #calls = new Set<Call>();
  readonly #health: EngineHealth;
  #heardCount = 0;

  constructor(health: EngineHealth) {
    this.#health = health;
  }

  /** Rises with everything that is heard. */
  get heardCount(): number {
    return this.#heardCount;
  }

  get count(): number {
    return this.#calls.size;
  }

  open(call: Call): void {
    if (this.#calls.size === 0) this.#health.heard();
    this.#calls.add(call);
  }

  close(call: Call): void {
    this.#calls.delete(call);
  }

  /** Bytes of an answer came. */
  heard(): void {
    this.#heardCount += 1;
    this.#health.heard();
  }

  /** A token came. */
  token(call: Call, nowMs: number): void {
    if (call.lastTokenMs !== null) this.#health.gap(nowMs - call.lastTokenMs);
    call.lastTokenMs = nowMs;
  }

  pause(call: Call): void {
    call.paused = true;
  }

  /** What was waiting for the client has gone out: from now on more may come. */
  resume(call: Call): void {
    call.paused = false;
    this.#health.heard();
  }

  /** @param prefillMs see `Expected` */
  advance(elapsedMs: number, prefillMs: number): SilenceStep {
    let decoding = 0;
    let prefilling = 0;
    let whole = 0;
    for (const { form, lastTokenMs, paused } of this.#calls) {
      if (paused) continue;
      if (form === 'whole') whole += 1;
      else if (lastTokenMs === null) prefilling += 1;
      else decoding += 1;
    }
    return this.#health.advance(elapsedMs, { decoding, prefilling, whole, prefillMs });
  }

  /** To be called when the engine is overdue. */
  offerElsewhere(error: Error): void {
    for (const call of [...this.#calls])
      if (call.lastTokenMs === null) call.moveIfFaster(this.#health.silenceMs, error);
  }

  breakOff(error: Error): void {
    for (const call of [...this.#calls]) call.breakOff(error);
  }
}
