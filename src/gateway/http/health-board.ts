// A few integers in shared memory by which the event loop tells the health thread how it is.

import type { HealthFacts } from './health-answers.ts';

const beatMs = 0;
const engines = 1;
const readyEngines = 2;
const stopping = 3;
const fieldCount = 4;

/** Milliseconds of a clock that all threads of the process share; wraps after 24 days. */
function sharedMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n) | 0;
}

export class HealthBoard {
  readonly #fields: Int32Array;

  /** @param memory of another board, which this one then shows */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(fieldCount * Int32Array.BYTES_PER_ELEMENT)) {
    this.#fields = new Int32Array(memory);
  }

  get memory(): SharedArrayBuffer {
    return this.#fields.buffer as SharedArrayBuffer;
  }

  /** To be called by the event loop, often. */
  beat(facts: Omit<HealthFacts, 'hungMs'>): void {
    Atomics.store(this.#fields, engines, facts.engines);
    Atomics.store(this.#fields, readyEngines, facts.readyEngines);
    Atomics.store(this.#fields, stopping, facts.stopping ? 1 : 0);
    Atomics.store(this.#fields, beatMs, sharedMs());
  }

  /** @param silenceMsMax an event loop that has not beaten for longer hangs */
  read(silenceMsMax: number): HealthFacts {
    const silentMs = (sharedMs() - Atomics.load(this.#fields, beatMs)) | 0;
    return {
      engines: Atomics.load(this.#fields, engines),
      readyEngines: Atomics.load(this.#fields, readyEngines),
      stopping: Atomics.load(this.#fields, stopping) === 1,
      hungMs: silentMs > silenceMsMax ? silentMs : null,
    };
  }
}
