// How fast each worker has been seen to work: prefill tokens a second and the gap between two tokens of a stream.

import type { WorkerIndex } from '../types.ts';

/** Share that an old sample keeps when a new one comes: about ten samples count. */
const memory = 0.9;
/** First tokens of one engine step arrive together: their prefill is one sample. */
const sampleMsMin = 1;

class Speed {
  /** Since when the time of the next prefill sample runs. */
  anchorMs = 0;
  waitingTokens = 0;
  tokens = 0;
  ms = 0;
  gapMs = 0;
}

/** One entry a worker, forgotten with `reset`. O(1) a call. */
export class ObservedSpeed {
  readonly #speeds: Speed[] = [];

  reset(worker: WorkerIndex): void {
    this.#speeds[worker] = new Speed();
  }

  /** A prefill was booked on a worker that had none outstanding: its time starts now. */
  prefillStarts(worker: WorkerIndex, nowMs: number): void {
    this.#speeds[worker]!.anchorMs = nowMs;
  }

  /** A prefill of that many uncached tokens has ended. */
  prefillEnds(worker: WorkerIndex, uncachedTokens: number, nowMs: number): void {
    const speed = this.#speeds[worker]!;
    speed.waitingTokens += uncachedTokens;
    const elapsedMs = nowMs - speed.anchorMs;
    if (elapsedMs < sampleMsMin) return;
    speed.tokens = speed.tokens * memory + speed.waitingTokens;
    speed.ms = speed.ms * memory + elapsedMs;
    speed.waitingTokens = 0;
    speed.anchorMs = nowMs;
  }

  /** One stream got `tokens` tokens `elapsedMs` after the ones before. */
  streamed(worker: WorkerIndex, tokens: number, elapsedMs: number): void {
    const speed = this.#speeds[worker]!;
    const gapMs = elapsedMs / tokens;
    speed.gapMs = speed.gapMs === 0 ? gapMs : speed.gapMs + (gapMs - speed.gapMs) * (1 - memory);
  }

  /** 0 before anything was observed. */
  prefillTokensPerS(worker: WorkerIndex): number {
    const { tokens, ms } = this.#speeds[worker]!;
    return ms === 0 ? 0 : (tokens / ms) * 1000;
  }

  /** 0 before anything was observed. */
  tokenGapMs(worker: WorkerIndex): number {
    return this.#speeds[worker]!.gapMs;
  }
}
