// When an answer was good: its first token in time for the length of its prompt, its other tokens fast enough.

import type { StepTime } from '../sim/index.ts';

/** TTFT <= `ttftMs` + `ttftPrefillFactor` x the time that an idle worker needs for the whole prompt, and TPOT <= `tpotMs`. */
export interface Slo {
  readonly ttftMs: number;
  readonly ttftPrefillFactor: number;
  readonly tpotMs: number;
}

export const sloDefaults: Slo = { ttftMs: 1000, ttftPrefillFactor: 2, tpotMs: 120 };

/** What of an engine decides how long a prefill takes. */
export interface PrefillTiming {
  readonly stepTime: StepTime;
  readonly stepTokensMax: number;
}

/** Nanoseconds of the steps that an otherwise idle worker does up to the first token. O(isl / stepTokensMax) */
export function soloPrefillNs({ stepTime, stepTokensMax }: PrefillTiming, isl: number, cachedTokens: number): number {
  let totalNs = 0;
  for (let start = cachedTokens; start < isl; ) {
    const tokens = Math.min(stepTokensMax, isl - start);
    const end = start + tokens;
    const stepMs = stepTime({
      tokens,
      prefillTokens: tokens,
      prefillPairs: tokens * start + (tokens * (tokens + 1)) / 2,
      decodeContextTokens: 0,
      sequences: 1,
      sampled: end === isl ? 1 : 0,
    });
    totalNs += Math.round(stepMs * 1e6);
    start = end;
  }
  return totalNs;
}

/** The latest good first token of a prompt, in nanoseconds after its arrival. */
export function ttftLimitNs(slo: Slo, timing: PrefillTiming, isl: number): number {
  return slo.ttftMs * 1e6 + slo.ttftPrefillFactor * soloPrefillNs(timing, isl, 0);
}
