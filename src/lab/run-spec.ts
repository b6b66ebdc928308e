// Parameters of a run besides its workload, as plain data.

import { type EngineOptions, type EngineProfileName, engineDefaults, engineProfiles } from '../sim/index.ts';
import type { Fleet } from './fleet.ts';
import { type PolicySpec, parsePolicySpec } from './policy-spec.ts';
import { type Slo, sloDefaults } from './slo.ts';

export interface RunSpec {
  readonly policy: PolicySpec;
  readonly workers: number;
  /** Seed of the policy's draws: ties, temperature, random choices. */
  readonly seed: number;
  readonly blockSize: number;
  /** KV capacity of one worker. */
  readonly kvTokens: number;
  readonly profile: EngineProfileName;
  /** Factor by which engines are faster than their profile. */
  readonly engineSpeed: number;
  readonly stepTokensMax: number;
  readonly sequencesMax: number;
  readonly slo: Slo;
  /** Absent: all workers are equal. */
  readonly fleet?: Fleet;
  /** Share of the first requests whose latencies do not count. */
  readonly warmupShare: number;
}

/** RunSpec with the policy as text. */
export type RunSpecJson = Omit<RunSpec, 'policy'> & { readonly policy: string };

export const toJson = (spec: RunSpec): RunSpecJson => ({ ...spec, policy: spec.policy.text });

/** @throws RangeError if the policy's text is invalid */
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

/** Engine options of a run. The only context limit is the KV capacity. */
export function engineOptions(spec: RunSpec): EngineOptions {
  const profile = engineProfiles[spec.profile];
  const profileTime = profile.stepTimeFor(spec.kvTokens);
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
    stepTime: spec.engineSpeed === 1 ? profileTime : (load) => profileTime(load) / spec.engineSpeed,
    speculation: profile.speculation,
    sampleToken: () => 0,
  };
}
