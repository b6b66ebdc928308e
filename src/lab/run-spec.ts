// Everything that decides the outcome of a run beside its workload, as plain data.

import { type EngineOptions, engineDefaults, type StepTimeProfile, stepTimeProfiles } from '../sim/index.ts';
import { type PolicySpec, parsePolicySpec } from './policy-spec.ts';
import { type Slo, sloDefaults } from './slo.ts';

export interface RunSpec {
  readonly policy: PolicySpec;
  readonly workers: number;
  /** Of the draws of the policy: ties, temperature, random choices. */
  readonly seed: number;
  readonly blockSize: number;
  /** KV capacity of one worker. */
  readonly kvTokens: number;
  readonly profile: StepTimeProfile;
  /** Engines take their profile's times divided by this. */
  readonly engineSpeed: number;
  readonly stepTokensMax: number;
  readonly sequencesMax: number;
  readonly slo: Slo;
  /** Share of the requests, the first to arrive, whose latencies do not count. */
  readonly warmupShare: number;
}

/** The same with the policy as text. */
export type RunSpecJson = Omit<RunSpec, 'policy'> & { readonly policy: string };

export const toJson = (spec: RunSpec): RunSpecJson => ({ ...spec, policy: spec.policy.text });

/** @throws RangeError if the policy's text makes no sense */
export const fromJson = (json: RunSpecJson): RunSpec => ({ ...json, policy: parsePolicySpec(json.policy) });

export const runSpecDefaults: RunSpec = {
  policy: parsePolicySpec('kv'),
  workers: 8,
  seed: 1,
  blockSize: engineDefaults.blockSize,
  kvTokens: 186_000,
  profile: 'l40s-llama8b',
  engineSpeed: 1,
  stepTokensMax: engineDefaults.stepTokensMax,
  sequencesMax: engineDefaults.sequencesMax,
  slo: sloDefaults,
  warmupShare: 0.1,
};

/** The engine of a run. It has no context limit of its own: what its KV holds is the limit. */
export function engineOptions(spec: RunSpec): EngineOptions {
  const profile = stepTimeProfiles[spec.profile];
  const usableBlocks = Math.floor(spec.kvTokens / spec.blockSize);
  return {
    ...engineDefaults,
    blockSize: spec.blockSize,
    blocks: usableBlocks + 1,
    stepTokensMax: spec.stepTokensMax,
    sequencesMax: spec.sequencesMax,
    contextTokensMax: usableBlocks * spec.blockSize,
    unfinishedMax: Number.MAX_SAFE_INTEGER,
    joinRemovals: true,
    stepTime: spec.engineSpeed === 1 ? profile : (load) => profile(load) / spec.engineSpeed,
    sampleToken: () => 0,
  };
}
