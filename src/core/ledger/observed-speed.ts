// Observed speed of each worker: prefill tokens per second, and the gap between two tokens of a stream.

import type { WorkerIndex } from '../types.ts';

/** Assumed before the first observation. Slow on purpose: overestimating load is safer than underestimating it. */
export const assumedPrefillTokensPerS = 2000;
export const assumedTokenGapMs = 50;

/** Weight of the old average when a sample is added: about ten samples count. */
const memory = 0.9;
/** Tokens closer together than this form one sample: first tokens of one engine step, or tokens of one read. */
const sampleMsMin = 1;

/** State of one stream between two samples. */
export interface Stream {
  readonly worker: WorkerIndex;
  /** When the latest sample ended. 0 before the first token. */
  sampledMs: number;
  /** Tokens since `sampledMs`. */
  unsampledTokens: number;
}

class Speed {
  /** Start time of the next prefill sample. */
  anchorMs = 0;
  waitingTokens = 0;
  tokens = 0;
  ms = 0;
  /** Tokens and time of single streams, averaged. */
  streamedTokens = 0;
  streamedMs = 0;
}

/** One entry per worker, cleared by `reset`. Every call is O(1). */
export class ObservedSpeed {
  readonly #speeds: Speed[] = [];

  reset(worker: WorkerIndex): void {
    this.#speeds[worker] = new Speed();
  }

  /** A prefill was booked on a worker that had none outstanding, so its time starts now. */
  prefillStarts(worker: WorkerIndex, nowMs: number): void {
    this.#speeds[worker]!.anchorMs = nowMs;
  }

  /** A prefill of `uncachedTokens` has ended. */
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

  /**
   * A stream got more tokens. A connection may hold tokens back and deliver them together, so a sample covers at least
   * `sampleMsMin`: its tokens divided by its time.
   */
  tokens(stream: Stream, tokens: number, nowMs: number): void {
    if (stream.sampledMs === 0) {
      stream.sampledMs = nowMs;
      return;
    }
    stream.unsampledTokens += tokens;
    const elapsedMs = nowMs - stream.sampledMs;
    if (elapsedMs < sampleMsMin || stream.unsampledTokens === 0) return;
    const speed = this.#speeds[stream.worker]!;
    speed.streamedTokens = speed.streamedTokens * memory + stream.unsampledTokens;
    speed.streamedMs = speed.streamedMs * memory + elapsedMs;
    stream.sampledMs = nowMs;
    stream.unsampledTokens = 0;
  }

  /** 0 before the first observation. */
  prefillTokensPerS(worker: WorkerIndex): number {
    const { tokens, ms } = this.#speeds[worker]!;
    return ms === 0 ? 0 : (tokens / ms) * 1000;
  }

  /** 0 before the first observation. */
  tokenGapMs(worker: WorkerIndex): number {
    const { streamedTokens, streamedMs } = this.#speeds[worker]!;
    return streamedTokens === 0 ? 0 : streamedMs / streamedTokens;
  }
}
