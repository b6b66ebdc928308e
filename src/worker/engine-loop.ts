// Runs a simulated engine in real time, each step with an absolute deadline.

import type { Engine, EngineStep } from '../sim/index.ts';

export class EngineLoop {
  readonly #engine: Engine;
  readonly #speedup: number;
  readonly #onStep: (step: EngineStep) => void;
  /** Scheduled start of the current step, not the time that its timer fired, so that lateness does not add up. */
  #stepStartMs = 0;
  #lateMs = 0;
  #state: 'asleep' | 'stepping' | 'stopped' = 'asleep';

  /**
   * @param speedup simulated seconds per real second
   * @param onStep called at the end of each step
   */
  constructor(engine: Engine, speedup: number, onStep: (step: EngineStep) => void) {
    this.#engine = engine;
    this.#speedup = speedup;
    this.#onStep = onStep;
  }

  /** Total lateness of all steps so far, because the machine was busy. */
  get lateMs(): number {
    return this.#lateMs;
  }

  /** Starts a step if the engine is idle. Requests that arrive in the same turn of the event loop join this step. */
  wake(): void {
    if (this.#state !== 'asleep') return;
    this.#state = 'stepping';
    setImmediate(() => {
      this.#stepStartMs = performance.now();
      this.#begin();
    });
  }

  /** Stops the loop. The current step does not end. */
  stop(): void {
    this.#state = 'stopped';
  }

  #begin(): void {
    if (this.#state !== 'stepping') return;
    const step = this.#engine.step();
    if (step === null) {
      this.#state = 'asleep';
      return;
    }
    const deadlineMs = this.#stepStartMs + step.stepNs / 1e6 / this.#speedup;
    const end = (): void => {
      if (this.#state !== 'stepping') return;
      this.#lateMs += performance.now() - deadlineMs;
      this.#stepStartMs = deadlineMs;
      this.#onStep(step);
      this.#begin();
    };
    const waitMs = deadlineMs - performance.now();
    // Rounded up: a step may end late, never early. Even when late, yield to sockets between steps.
    if (waitMs > 0) setTimeout(end, Math.ceil(waitMs));
    else setImmediate(end);
  }
}
