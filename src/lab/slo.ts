// SLO of an answer: a TTFT limit that depends on the prompt length, and a TPOT limit.

import type { Speculation, StepTime } from '../sim/index.ts';

/** TTFT <= `ttftMs` + `ttftPrefillFactor` x the time that an idle worker needs for the whole prompt, and TPOT <= `tpotMs`. */
export interface Slo {
  readonly ttftMs: number;
  readonly ttftPrefillFactor: number;
  readonly tpotMs: number;
}

export const sloDefaults: Slo = { ttftMs: 1000, ttftPrefillFactor: 2, tpotMs: 120 };

/** The engine options that determine the time of a prefill. */
export interface PrefillTiming {
  readonly stepTime: StepTime;
  readonly stepTokensMax: number;
  readonly speculation: Speculation | null;
}

/** Time to first token on an idle worker, in nanoseconds. O(isl / stepTokensMax) */
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

/** TTFT limit of a prompt, in nanoseconds. */
export function ttftLimitNs(slo: Slo, timing: PrefillTiming, isl: number): number {
  return slo.ttftMs * 1e6 + slo.ttftPrefillFactor * soloPrefillNs(timing, isl, 0);
}
