// Counts SLO misses during a run, so that a failed run can be stopped early.

import type { Workload } from '../trace/workload.ts';
import type { RequestLog } from './request-log.ts';
import { type PrefillTiming, type Slo, ttftLimitNs } from './slo.ts';

export class SloWatch {
  readonly #workload: Workload;
  readonly #slo: Slo;
  readonly #timing: PrefillTiming;
  readonly #log: RequestLog;
  readonly #firstMeasured: number;
  readonly #missesMax: number;
  #misses = 0;

  /** @param missesMax Infinity: misses are not counted */
  constructor(
    workload: Workload,
    slo: Slo,
    timing: PrefillTiming,
    log: RequestLog,
    firstMeasured: number,
    missesMax: number,
  ) {
    this.#workload = workload;
    this.#slo = slo;
    this.#timing = timing;
    this.#log = log;
    this.#firstMeasured = firstMeasured;
    this.#missesMax = missesMax;
  }

  get isLost(): boolean {
    return this.#misses > this.#missesMax;
  }

  firstToken(request: number): void {
    if (this.#counts(request) && this.#isLate(request)) this.#misses++;
  }

  done(request: number): void {
    // A late first token is counted already.
    if (!this.#counts(request) || this.#isLate(request)) return;
    if (this.#log.tpotMs(request, this.#workload.requests[request]!.osl) > this.#slo.tpotMs) this.#misses++;
  }

  failed(request: number): void {
    if (this.#counts(request)) this.#misses++;
  }

  #counts(request: number): boolean {
    return request >= this.#firstMeasured && this.#missesMax !== Number.POSITIVE_INFINITY;
  }

  #isLate(request: number): boolean {
    const { arrivalNs, firstTokenNs } = this.#log;
    const limitNs = ttftLimitNs(this.#slo, this.#timing, this.#workload.requests[request]!.isl);
    return firstTokenNs[request]! - arrivalNs[request]! > limitNs;
  }
}
