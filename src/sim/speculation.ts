// Speculative decoding: a draft model proposes tokens, and a step emits the accepted ones plus one.

import type { EngineRequest } from './engine-request.ts';
import { emptyStep, type StepLoad, type StepTime } from './step-time.ts';

export interface Speculation {
  /** Tokens proposed to each decoding sequence in a step. */
  readonly draftTokens: number;
  /** Chance that a proposed token is accepted if those before it were. */
  readonly acceptance: number;
  /** Time of one draft pass for the whole batch. */
  readonly draftMs: number;
}

/** Tokens that a sequence gets at the end of a step: 1 .. `draftTokens` + 1. Depends on the request only. */
export function emittedTokens({ draftTokens, acceptance }: Speculation, request: EngineRequest): number {
  // Prefill proposes nothing.
  if (request.outputTokens === 0) return 1;
  let emitted = 1;
  while (emitted <= draftTokens && chance(request.seed, request.outputTokens + emitted) < acceptance) emitted++;
  return emitted;
}

/** Step time of an engine that verifies `draftTokens` + 1 tokens of each sampling sequence. */
export function speculativeStepTime(base: StepTime, { draftTokens, draftMs }: Speculation): StepTime {
  const verified: StepLoad = emptyStep();
  return (load) => {
    Object.assign(verified, load);
    verified.tokens = load.prefillTokens + load.sampled * (draftTokens + 1);
    return base(verified) + (load.decodeContextTokens > 0 ? draftTokens * draftMs : 0);
  };
}

/** A fixed value in 0 .. 1 for each seed and position. */
function chance(seed: number, position: number): number {
  let z = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(position, 0x85ebca77)) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
}
