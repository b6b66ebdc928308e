// How fast each worker has been seen to work: prefill tokens a second and the gap between two tokens of a stream.

import type { WorkerIndex } from '../types.ts';

/** Before anything was observed: slow, so that load is over- rather than underestimated. */
export const assumedPrefillTokensPerS = 2000;
export const assumedTokenGapMs = 50;

/** Share that an old sample keeps when a new one comes: about ten samples count. */
const memory = 0.9;
/** What arrives together is one sample: first tokens of one engine step, tokens of one read. */
const sampleMsMin = 1;

/** What a stream keeps between its samples. */
export interface Stream {
  readonly worker: WorkerIndex;
  /** When its newest sample ended; 0: it has had no token. */
  sampledMs: number;
  /** Tokens since then. */
  unsampledTokens: number;
}

class Speed {
  /** Since when the time of the next prefill sample runs. */
  anchorMs = 0;
  waitingTokens = 0;
  tokens = 0;
  ms = 0;
  /** Of single streams. */
  streamedTokens = 0;
  streamedMs = 0;
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

  /**
   * A stream got more tokens. Those that the connection held back come together: the time between them says nothing of
   * the engine, so that a sample is all tokens of at least `sampleMsMin`, over the time that they took.
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

  /** 0 before anything was observed. */
  prefillTokensPerS(worker: WorkerIndex): number {
    const { tokens, ms } = this.#speeds[worker]!;
    return ms === 0 ? 0 : (tokens / ms) * 1000;
  }

  /** 0 before anything was observed. */
  tokenGapMs(worker: WorkerIndex): number {
    const { streamedTokens, streamedMs } = this.#speeds[worker]!;
    return streamedTokens === 0 ? 0 : streamedMs / streamedTokens;
  }
}
