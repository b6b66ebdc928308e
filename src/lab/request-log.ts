// Log of a run: one entry per request, in columns. Times are in virtual nanoseconds.

import { LogHistogram } from '../report/log-histogram.ts';

/**
 * `too-long`: prompt and output exceed a worker's KV. `refused`: no worker was routable, or the engine was full.
 * `not-run`: the run was stopped early, or the request depends on one that never ended.
 */
export type RequestFate = 'not-run' | 'running' | 'done' | 'too-long' | 'refused';

const fates: readonly RequestFate[] = ['not-run', 'running', 'done', 'too-long', 'refused'];

export class RequestLog {
  readonly count: number;
  /** Start of TTFT. */
  readonly arrivalNs: Float64Array;
  readonly firstTokenNs: Float64Array;
  /** Time of the last token so far. */
  readonly lastTokenNs: Float64Array;
  readonly worker: Int32Array;
  /** Prompt tokens that the engine took from its cache. */
  readonly cachedTokens: Int32Array;
  /** Cached tokens as predicted by the router. */
  readonly predictedTokens: Int32Array;
  /** TTFT as predicted by the policy at the choice. NaN: it predicted none. */
  readonly predictedTtftMs: Float64Array;
  /** How much sooner the best worker would have answered, as the router knew at the first token. NaN: unknown. */
  readonly regretMs: Float64Array;
  /** Gaps between neighbouring tokens of measured requests, in milliseconds. */
  readonly gapsMs: LogHistogram = new LogHistogram(0.01);
  readonly #fate: Uint8Array;

  constructor(count: number) {
    this.count = count;
    this.arrivalNs = new Float64Array(count).fill(Number.NaN);
    this.firstTokenNs = new Float64Array(count).fill(Number.NaN);
    this.lastTokenNs = new Float64Array(count).fill(Number.NaN);
    this.worker = new Int32Array(count).fill(-1);
    this.cachedTokens = new Int32Array(count);
    this.predictedTokens = new Int32Array(count);
    this.regretMs = new Float64Array(count).fill(Number.NaN);
    this.predictedTtftMs = new Float64Array(count).fill(Number.NaN);
    this.#fate = new Uint8Array(count);
  }

  fate(request: number): RequestFate {
    return fates[this.#fate[request]!]!;
  }

  setFate(request: number, fate: RequestFate): void {
    this.#fate[request] = fates.indexOf(fate);
  }

  isDone(request: number): boolean {
    return this.#fate[request] === 2;
  }

  ttftMs(request: number): number {
    return (this.firstTokenNs[request]! - this.arrivalNs[request]!) / 1e6;
  }

  e2eMs(request: number): number {
    return (this.lastTokenNs[request]! - this.arrivalNs[request]!) / 1e6;
  }

  /** Mean gap between the tokens of a request. NaN for a single token. */
  tpotMs(request: number, osl: number): number {
    if (osl < 2) return Number.NaN;
    return (this.lastTokenNs[request]! - this.firstTokenNs[request]!) / 1e6 / (osl - 1);
  }
}
