// The requests under way on one engine: feeds its health with what they expect and receive, and ends them.

import type { EngineHealth, SilenceStep } from './engine-health.ts';

/** One request at an engine. */
export interface Call {
  /** `whole`: the answer comes in one piece. */
  readonly form: 'stream' | 'whole';
  /** Arrival of its latest token; null: none yet. */
  lastTokenMs: number | null;
  /** The client does not read, so the engine's socket is not read either. */
  paused: boolean;
  /** Ends it as if its connection had broken. */
  breakOff(error: Error): void;
  /** Ends it if another engine is likely to be faster; only without a token. @param silenceMs of its engine */
  moveIfFaster(silenceMs: number, error: Error): void;
}

/** The engine fell silent; its process may still run. */
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

  /** Number of times that bytes came. */
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

  /** To be called when bytes of an answer come. */
  heard(): void {
    this.#heardCount += 1;
    this.#health.heard();
  }

  /** To be called when a token comes. */
  token(call: Call, nowMs: number): void {
    if (call.lastTokenMs !== null) this.#health.gap(nowMs - call.lastTokenMs);
    call.lastTokenMs = nowMs;
  }

  pause(call: Call): void {
    call.paused = true;
  }

  /** The client has read what waited for it: the engine's socket is read again. */
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
