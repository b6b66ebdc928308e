// Flags that describe the simulated cluster, and their conversion to a run spec.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Fleet, type PolicySpec, type RunSpec, runSpecDefaults, type SlowDown } from '../lab/index.ts';
import { BlockPool, type EngineProfileName, engineProfileNames, engineProfiles } from '../sim/index.ts';
import { LabError } from './lab-error.ts';
import { integer, list, number } from './lab-flags.ts';

export interface ClusterFlags extends EngineFlags {
  readonly workers: number;
  readonly profile: EngineProfileName;
}

/** Flags shared by all engines of a cluster, independent of their number and profile. */
export interface EngineFlags {
  readonly blockSize: number;
  readonly kvTokens?: readonly number[];
  readonly engineSpeed: number;
  readonly speeds?: readonly number[];
  readonly slowDown?: SlowDown;
  readonly stepTokensMax?: number;
  readonly sequencesMax?: number;
  readonly warmup: number;
  readonly sloTtftMs: number;
  readonly sloPrefillFactor: number;
  readonly sloTpotMs: number;
}

export function addClusterFlags(command: Command): Command {
  return addEngineFlags(
    command
      .option('--workers <n>', 'simulated engines', integer(1, workersMax), runSpecDefaults.workers)
      .addOption(
        new Option('--profile <name>', 'card and model of the engines')
          .choices(engineProfileNames)
          .default(runSpecDefaults.profile),
      ),
  );
}

export const workersMax = 1024;

export function addEngineFlags(command: Command): Command {
  const { slo } = runSpecDefaults;
  return command
    .option('--block-size <tokens>', 'block size of the engines', integer(1, 4096), runSpecDefaults.blockSize)
    .option(
      '--kv-tokens <list>',
      'KV capacity of a worker; several values take turns (default: what a trace was studied with, else of the profile)',
      listOf(integer(16, 1e9)),
    )
    .option('--engine-speed <f>', 'factor by which engines are faster than the profile', number(0.01, 1000), 1)
    .option(
      '--speeds <list>',
      'speeds of the workers, in turn: 1,0.5 makes every second one slow',
      listOf(number(0.01, 100)),
    )
    .option(
      '--slow-down <spec>',
      'worker=3,from=0.4,until=0.8,factor=10: slower by a factor in this part of the arrivals; the router is not told',
      slowDownArgument,
    )
    .option('--step-tokens-max <n>', 'most tokens in a step (default: of the profile)', integer(1, 1e6))
    .option('--sequences-max <n>', 'most sequences in a batch (default: of the profile)', integer(1, 1e6))
    .option(
      '--warmup <share>',
      'first requests, whose latencies are left out (none in a burst)',
      number(0, 0.9),
      runSpecDefaults.warmupShare,
    )
    .option('--slo-ttft-ms <ms>', 'SLO: TTFT at most this', number(0, 1e9), slo.ttftMs)
    .option(
      '--slo-prefill-factor <f>',
      '... plus this factor times the prefill of the whole prompt on an idle worker of speed 1',
      number(0, 1e6),
      slo.ttftPrefillFactor,
    )
    .option('--slo-tpot-ms <ms>', '... and TPOT at most this', number(0, 1e9), slo.tpotMs);
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
  const profile = engineProfiles[flags.profile];
  const capacities = flags.kvTokens ?? [kvTokensPerWorker ?? profile.kvTokens];
  checkBlocks(flags, capacities);
  const fleet = fleetOf(flags);
  return {
    policy,
    workers: flags.workers,
    seed,
    blockSize: flags.blockSize,
    kvTokens: capacities[0]!,
    profile: flags.profile,
    engineSpeed: flags.engineSpeed,
    stepTokensMax: flags.stepTokensMax ?? profile.stepTokensMax,
    sequencesMax: flags.sequencesMax ?? profile.sequencesMax,
    slo: { ttftMs: flags.sloTtftMs, ttftPrefillFactor: flags.sloPrefillFactor, tpotMs: flags.sloTpotMs },
    warmupShare: flags.warmup,
    ...(fleet === null ? {} : { fleet }),
  };
}

function fleetOf({ workers, speeds, kvTokens, slowDown }: ClusterFlags): Fleet | null {
  if (slowDown !== undefined && slowDown.worker >= workers) {
    const last = workers - 1;
    throw new LabError('cluster-impossible', `--slow-down: there is no worker ${slowDown.worker}, the last is ${last}`);
  }
  const isSized = kvTokens !== undefined && kvTokens.length > 1;
  if (speeds === undefined && slowDown === undefined && !isSized) return null;
  return {
    ...(speeds === undefined ? {} : { speeds }),
    ...(isSized ? { kvTokens } : {}),
    ...(slowDown === undefined ? {} : { slowDown }),
  };
}

function checkBlocks({ workers, blockSize }: ClusterFlags, capacities: readonly number[]): void {
  let blocksInAll = 0;
  for (let worker = 0; worker < Math.max(workers, capacities.length); worker++) {
    const kvTokens = capacities[worker % capacities.length]!;
    const blocks = Math.floor(kvTokens / blockSize);
    const cluster = `${workers} workers with ${kvTokens} KV tokens each in blocks of ${blockSize}`;
    blocksInAll += blocks;
    if (blocks === 0) throw new LabError('cluster-impossible', `${cluster} hold no block: see --kv-tokens`);
    if (blocks >= BlockPool.blocksMax || blocksInAll > simulatedBlocksMax) {
      const limits = `${BlockPool.blocksMax - 1} blocks a worker and ${simulatedBlocksMax} in all`;
      throw new LabError(
        'cluster-impossible',
        `${cluster} exceed what the lab can simulate (${limits}): see --kv-tokens`,
      );
    }
  }
}

function listOf(parse: (text: string) => number): (text: string) => number[] {
  return (text) => list(text).map(parse);
}

const slowDownFields: readonly (keyof SlowDown)[] = ['worker', 'from', 'until', 'factor'];

function slowDownArgument(text: string): SlowDown {
  const values = new Map<string, number>();
  for (const item of list(text)) {
    const [key = '', value = ''] = item.split('=', 2);
    if (!slowDownFields.some((field) => field === key)) {
      throw new InvalidArgumentError(`${JSON.stringify(key)} is none of ${slowDownFields.join(', ')}.`);
    }
    values.set(key, value.trim() === '' ? Number.NaN : Number(value));
  }
  const value = (field: keyof SlowDown): number => values.get(field) ?? Number.NaN;
  const slowDown = { worker: value('worker'), from: value('from'), until: value('until'), factor: value('factor') };
  const { worker, from, until, factor } = slowDown;
  if (!Number.isInteger(worker) || worker < 0) throw new InvalidArgumentError('worker must be an index from 0 up.');
  if (!(from >= 0 && until > from && until <= 1)) {
    throw new InvalidArgumentError('from and until must be shares of the arrivals: 0 <= from < until <= 1.');
  }
  if (!(factor >= 1 && factor <= 1000)) throw new InvalidArgumentError('factor must be a number from 1 to 1000.');
  return slowDown;
}
