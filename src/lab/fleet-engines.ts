// Engines of a run's fleet: options of each worker, and totals for bounds and policies.

import type { EngineModel } from '../core/index.ts';
import { type EngineOptions, engineProfiles, type StepLoad } from '../sim/index.ts';
import { repeated } from './fleet.ts';
import type { ToldSpeeds } from './policy-spec.ts';
import { engineOptions, type RunSpec, runSpecDefaults } from './run-spec.ts';

/** Speed of a worker without slow-downs, relative to the profile. */
export function speedOf({ fleet, engineSpeed }: RunSpec, worker: number): number {
  return engineSpeed * (repeated(fleet?.speeds, worker) ?? 1);
}

export function kvTokensOf({ fleet, kvTokens }: RunSpec, worker: number): number {
  return repeated(fleet?.kvTokens, worker) ?? kvTokens;
}

export function workerEngineOptions(spec: RunSpec, worker: number): EngineOptions {
  return engineOptions({ ...spec, engineSpeed: speedOf(spec, worker), kvTokens: kvTokensOf(spec, worker) });
}

/** KV capacity of all workers together. */
export function fleetKvTokens(spec: RunSpec): number {
  return perWorker(spec, (worker) => kvTokensOf(spec, worker)).reduce((sum, tokens) => sum + tokens);
}

/** For bounds of the whole fleet: its fastest engine, and the fleet's speed as a number of such engines. */
export interface FleetTiming {
  readonly fastest: EngineOptions;
  readonly workers: number;
}

export function fleetTiming(spec: RunSpec): FleetTiming {
  const speeds = perWorker(spec, (worker) => speedOf(spec, worker));
  const speed = Math.max(...speeds);
  return {
    fastest: engineOptions({ ...spec, engineSpeed: speed }),
    workers: speeds.reduce((sum, one) => sum + one / speed, 0),
  };
}

/** The policy reads `speeds` at each choice, so writing to it reveals a slow-down. */
export function toldSpeeds(spec: RunSpec): ToldSpeeds & { readonly speeds: number[] } {
  if (!spec.policy.told) return { speeds: new Array<number>(spec.workers).fill(spec.engineSpeed), engine: undefined };
  const engine = spec.profile === runSpecDefaults.profile ? undefined : modelOf(spec);
  return { speeds: perWorker(spec, (worker) => speedOf(spec, worker)), engine };
}

/** Step times of a profile in the terms of the predicting policies, measured on steps of one kind each. */
function modelOf(spec: RunSpec): EngineModel {
  const stepTime = engineProfiles[spec.profile].stepTimeFor(spec.kvTokens);
  const of = (load: Partial<StepLoad>): number => stepTime({ ...noLoad, ...load });
  const gemmMs = (tokens: number): number => of({ tokens, prefillTokens: tokens });
  const { stepTokensMax } = spec;
  const context = spec.kvTokens / 2;
  const decoding = { tokens: 1, sampled: 1 };
  return {
    stepTokensMax,
    gemmMs,
    attentionMsPerPair:
      (of({ tokens: stepTokensMax, prefillTokens: stepTokensMax, prefillPairs: 1e9 }) - gemmMs(stepTokensMax)) / 1e9,
    kvReadMsPerToken: (of({ ...decoding, decodeContextTokens: context }) - of(decoding)) / context,
    stepOverheadMs: 0,
    decodeTokenMs: (of({ tokens: 65, sampled: 65, sequences: 65 }) - of(decoding)) / 64,
  };
}

const noLoad: StepLoad = {
  tokens: 0,
  prefillTokens: 0,
  prefillPairs: 0,
  decodeContextTokens: 0,
  sequences: 1,
  sampled: 0,
};

function perWorker({ workers }: RunSpec, of: (worker: number) => number): number[] {
  return Array.from({ length: workers }, (_, worker) => of(worker));
}
