// Runs an engine in real time: one step after the other, each against an absolute deadline.

import type { Engine, EngineStep } from '../sim/index.ts';

export class EngineLoop {
  readonly #engine: Engine;
  readonly #speedup: number;
  readonly #onStep: (step: EngineStep) => void;
  /** When the current step began, by its schedule and not by when its timer fired: so lateness does not add up. */
  #stepStartMs = 0;
  #lateMs = 0;
  #state: 'asleep' | 'stepping' | 'stopped' = 'asleep';

  /**
   * @param speedup how many simulated seconds pass in one real second
   * @param onStep called when a step's time is over
   */
  constructor(engine: Engine, speedup: number, onStep: (step: EngineStep) => void) {
    this.#engine = engine;
    this.#speedup = speedup;
    this.#onStep = onStep;
  }

  /** By how much all steps so far ended late, together: the machine had no time for them. */
  get lateMs(): number {
    return this.#lateMs;
  }

  /** There is work. What else arrives in this turn of the event loop makes it into the same step. */
  wake(): void {
    if (this.#state !== 'asleep') return;
    this.#state = 'stepping';
    setImmediate(() => {
      this.#stepStartMs = performance.now();
      this.#begin();
    });
  }

  /** No further step ends. */
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
    // Rounded up: a step may end late, never early. Behind schedule, sockets still get their turn between steps.
    if (waitMs > 0) setTimeout(end, Math.ceil(waitMs));
    else setImmediate(end);
  }
}
