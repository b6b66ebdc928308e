// Measures how long the event loop is blocked, and how long decisions due meanwhile have to wait.

import { type IntervalHistogram, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { LogHistogram } from '../src/report/log-histogram.ts';

const tickMs = 1;

export interface LoopFigures {
  /** Lateness of a 1 ms timer: the loop was blocked, or the machine had no free processor. */
  readonly heldP99Ms: number;
  readonly heldMaxMs: number;
  /** Longest garbage collection, which blocks the loop too. */
  readonly collectionMaxMs: number;
  readonly decisions: number;
  /** Time from a decision's due time to its start. Up to 1 ms is due to the timer. */
  readonly waitP99Ms: number;
  readonly waitMaxMs: number;
  /** Duration of a decision. */
  readonly tookP99Ms: number;
}

export class LoopWatch {
  readonly #startMs = performance.now();
  readonly #delays: IntervalHistogram = monitorEventLoopDelay({ resolution: tickMs });
  readonly #collections: PerformanceObserver;
  readonly #timer: NodeJS.Timeout;
  readonly #waits = new LogHistogram(0.001);
  readonly #times = new LogHistogram(0.001);
  #collectionMaxMs = 0;
  #decisions = 0;

  /** @param decide makes one decision, `decisionsPerS` times per second */
  constructor(decisionsPerS: number, decide: (index: number) => void) {
    this.#collections = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) {
        this.#collectionMaxMs = Math.max(this.#collectionMaxMs, duration);
      }
    });
    this.#collections.observe({ entryTypes: ['gc'] });
    const dueAt = (index: number): number => this.#startMs + ((index + 1) * 1000) / decisionsPerS;
    this.#timer = setInterval(() => {
      for (let nowMs = performance.now(); dueAt(this.#decisions) <= nowMs; nowMs = performance.now()) {
        this.#waits.record(nowMs - dueAt(this.#decisions));
        decide(this.#decisions++);
        this.#times.record(performance.now() - nowMs);
      }
    }, tickMs);
    this.#delays.enable();
  }

  stop(): LoopFigures {
    this.#delays.disable();
    this.#collections.disconnect();
    clearInterval(this.#timer);
    const beyondMs = (ns: number): number => Math.max(0, ns / 1e6 - tickMs);
    return {
      heldP99Ms: beyondMs(this.#delays.percentile(99)),
      heldMaxMs: beyondMs(this.#delays.max),
      collectionMaxMs: this.#collectionMaxMs,
      decisions: this.#decisions,
      waitP99Ms: this.#waits.quantile(0.99),
      waitMaxMs: this.#waits.max,
      tookP99Ms: this.#times.quantile(0.99),
    };
  }
}
