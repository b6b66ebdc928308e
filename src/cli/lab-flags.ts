// Flags shared by the experiments, and the run spec and workload they describe.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { type PolicySpec, parsePolicySpec, type RunSpec, runSpecDefaults } from '../lab/index.ts';
import { BlockPool, type StepTimeProfile, stepTimeProfiles } from '../sim/index.ts';
import { LabError } from './lab-error.ts';
import type { Arrivals, WorkloadSpec } from './lab-workload.ts';

export interface ClusterFlags {
  readonly workers: number;
  readonly blockSize: number;
  readonly kvTokens?: number;
  readonly profile: StepTimeProfile;
  readonly engineSpeed: number;
  readonly stepTokensMax: number;
  readonly sequencesMax: number;
  readonly warmup: number;
  readonly sloTtftMs: number;
  readonly sloPrefillFactor: number;
  readonly sloTpotMs: number;
}

export function addClusterFlags(command: Command): Command {
  const { slo } = runSpecDefaults;
  return command
    .option('--workers <n>', 'simulated engines', integer(1, 1024), runSpecDefaults.workers)
    .option('--block-size <tokens>', 'block size of the engines', integer(1, 4096), runSpecDefaults.blockSize)
    .option(
      '--kv-tokens <n>',
      `KV capacity of a worker (default: the one that the workload was studied with, else ${runSpecDefaults.kvTokens})`,
      integer(16, 1e9),
    )
    .addOption(
      new Option('--profile <name>', 'step times of the engines')
        .choices(Object.keys(stepTimeProfiles))
        .default(runSpecDefaults.profile),
    )
    .option('--engine-speed <f>', 'factor by which engines are faster than the profile', number(0.01, 1000), 1)
    .option('--step-tokens-max <n>', 'most tokens in a step', integer(1, 1e6), runSpecDefaults.stepTokensMax)
    .option('--sequences-max <n>', 'most sequences in a batch', integer(1, 1e6), runSpecDefaults.sequencesMax)
    .option(
      '--warmup <share>',
      'first requests, whose latencies are left out (none in a burst)',
      number(0, 0.9),
      runSpecDefaults.warmupShare,
    )
    .option('--slo-ttft-ms <ms>', 'SLO: TTFT at most this', number(0, 1e9), slo.ttftMs)
    .option(
      '--slo-prefill-factor <f>',
      '... plus this factor times the prefill of the whole prompt on an idle worker',
      number(0, 1e6),
      slo.ttftPrefillFactor,
    )
    .option('--slo-tpot-ms <ms>', '... and TPOT at most this', number(0, 1e9), slo.tpotMs);
}

export interface WorkloadFlags {
  readonly requests?: number;
  readonly jitterMs: number;
  readonly traceBlock?: number;
}

export function addWorkloadFlags(command: Command): Command {
  return command
    .option(
      '--requests <n>',
      'use only the first n (default: all of a file; 3,000 of a shipped workload)',
      integer(1, 1e9),
    )
    .option('--jitter-ms <ms>', 'delay every arrival by 0 to this, at random', number(0, 1e9), 0)
    .option('--trace-block <tokens>', 'tokens per block of hash_ids in a trace file', integer(1, 1e6));
}

export interface TokenizerFlag {
  readonly tokenizer: string;
}

export function addTokenizerFlag(command: Command): Command {
  return command.option(
    '--tokenizer <spec>',
    'for traces of raw text: builtin, or the path of a tokenizer.json',
    'builtin',
  );
}

export function workloadSpec(
  found: Pick<WorkloadSpec, 'name' | 'file'>,
  flags: WorkloadFlags & TokenizerFlag,
  seed: number,
  arrivals: Arrivals,
): WorkloadSpec {
  return {
    ...found,
    seed,
    requests: flags.requests ?? null,
    arrivals,
    jitterMs: flags.jitterMs,
    traceBlockTokens: flags.traceBlock ?? null,
    tokenizer: flags.tokenizer,
  };
}

/** Blocks of all simulated workers together. Each needs about 60 bytes per thread. */
const simulatedBlocksMax = 2 ** 25;

/** @param kvTokensPerWorker capacity that the workload was studied with @throws LabError `cluster-impossible` */
export function runSpec(
  flags: ClusterFlags,
  policy: PolicySpec,
  seed: number,
  kvTokensPerWorker: number | undefined,
): RunSpec {
  const kvTokens = flags.kvTokens ?? kvTokensPerWorker ?? runSpecDefaults.kvTokens;
  const blocks = Math.floor(kvTokens / flags.blockSize);
  const cluster = `${flags.workers} workers with ${kvTokens} KV tokens each in blocks of ${flags.blockSize}`;
  if (blocks === 0) throw new LabError('cluster-impossible', `${cluster} hold no block: raise --kv-tokens`);
  if (blocks >= BlockPool.blocksMax || blocks * flags.workers > simulatedBlocksMax) {
    const limits = `${BlockPool.blocksMax - 1} blocks a worker and ${simulatedBlocksMax} in all`;
    throw new LabError(
      'cluster-impossible',
      `${cluster} exceed what the lab can simulate (${limits}): lower --kv-tokens`,
    );
  }
  return {
    policy,
    workers: flags.workers,
    seed,
    blockSize: flags.blockSize,
    kvTokens,
    profile: flags.profile,
    engineSpeed: flags.engineSpeed,
    stepTokensMax: flags.stepTokensMax,
    sequencesMax: flags.sequencesMax,
    slo: { ttftMs: flags.sloTtftMs, ttftPrefillFactor: flags.sloPrefillFactor, tpotMs: flags.sloTpotMs },
    warmupShare: flags.warmup,
  };
}

export function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('An item of the list is empty.');
  return items;
}

/** A policy option. The help shows its default as it is written on the command line. */
export function policyOption(flags: string, description: string, policies: readonly string[]): Option {
  return new Option(flags, description)
    .argParser(policyList)
    .default(policies.map(parsePolicySpec), policies.join(','));
}

export function policyArgument(text: string): PolicySpec {
  try {
    return parsePolicySpec(text);
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
}

export function policyList(text: string): PolicySpec[] {
  const policies = text.split(',').map((one) => policyArgument(one.trim()));
  const twice = policies.find((policy, at) => policies.findIndex((other) => other.text === policy.text) !== at);
  if (twice !== undefined) throw new InvalidArgumentError(`${twice.text} is given twice.`);
  return policies;
}

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
  };
}

export function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
  };
}
