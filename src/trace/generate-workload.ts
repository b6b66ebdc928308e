// Generates the built-in synthetic workloads by name, with any number of requests, rate and arrival process.

import { type ArrivalProcess, speedUp, withArrivals } from './arrival-process.ts';
import { agentsWorkload } from './generators/agents.ts';
import { generatedSharedPrefix } from './generators/burst.ts';
import { multiTurnLongWorkload, multiTurnWorkload } from './generators/conversations.ts';
import { documentsWorkload } from './generators/documents.ts';
import { driftWorkload } from './generators/drift.ts';
import type { Generator } from './generators/generator.ts';
import { elephantsMiceWorkload, prefixFreeWorkload, reasoningWorkload } from './generators/lengths-only.ts';
import { rolloutsWorkload } from './generators/rollouts.ts';
import {
  backToBack,
  classificationWorkload,
  mixedOutputsWorkload,
  pr1731FixedWorkload,
  pr1731IslWorkload,
  pr1731OslWorkload,
  zipfWorkload,
} from './generators/shared-prefixes.ts';
import { toolLikeWorkload } from './generators/tool-like.ts';
import { orderedWorkload, type Workload } from './workload.ts';

/** The workloads of the first studies, on which the older policies and the lab's first tables are based. */
const classic = {
  'pr1731-fixed': pr1731FixedWorkload,
  'pr1731-isl': pr1731IslWorkload,
  'pr1731-osl': pr1731OslWorkload,
  'gsp-64x16': generatedSharedPrefix(64, 16),
  'gsp-4x256': generatedSharedPrefix(4, 256),
  'gsp-1x1024': generatedSharedPrefix(1, 1024),
  'gsp-zipf': generatedSharedPrefix(64, 16, 1),
  'b2b-150x5': backToBack(250),
  'b2b-150x5-long': backToBack(1000),
  zipf: zipfWorkload,
  'multi-turn': multiTurnWorkload,
  'multi-turn-long': multiTurnLongWorkload,
  'tool-like': toolLikeWorkload,
  reasoning: reasoningWorkload,
  'elephants-mice': elephantsMiceWorkload,
  'prefix-free': prefixFreeWorkload,
} as const satisfies Readonly<Record<string, Generator>>;

/** Other classes of traffic. No policy was tuned on them. */
const other = {
  agents: agentsWorkload,
  drift: driftWorkload,
  rollouts: rolloutsWorkload,
  classification: classificationWorkload,
  documents: documentsWorkload,
  'mixed-outputs': mixedOutputsWorkload,
} as const satisfies Readonly<Record<string, Generator>>;

const generators = { ...classic, ...other };

export type WorkloadName = keyof typeof generators;

export const workloadNames: readonly WorkloadName[] = Object.keys(generators) as WorkloadName[];

export type WorkloadSet = 'classic' | 'other' | 'all';

/** Named sets, so that older tables can be reproduced after workloads are added. */
export const workloadSets: Readonly<Record<WorkloadSet, readonly WorkloadName[]>> = {
  classic: Object.keys(classic) as WorkloadName[],
  other: Object.keys(other) as WorkloadName[],
  all: workloadNames,
};

/** One line per workload of the set `other`, for the help. */
export const workloadNotes: Readonly<Record<keyof typeof other, string>> = {
  agents: '24 agents with 30,000 to 78,000 tokens of their own behind 18,000 of shared tools, beside chat',
  drift: '60 prefixes of 4,096 tokens at a time; a new one takes the first rank every 12 requests',
  rollouts: '4, 8 or 16 requests with one prompt at the same moment, long outputs',
  classification: '12 instructions of 1,500 tokens, short texts, 1 to 4 tokens out',
  documents: 'about 5 questions about one document of 16,000 tokens; some documents have many readers',
  'mixed-outputs': '100 prefixes of 2,000 tokens; 70 % of the outputs have 8 to 24 tokens, the others about 1,200',
};

export const isWorkloadName = (name: string): name is WorkloadName => Object.hasOwn(generators, name);

/** KV capacity per worker of the calibrated L40S / 8B engine that the workloads were designed for. */
export const generatedKvTokensPerWorker = 186_000;

const requestsDefault = 3000;

export interface GenerateOptions {
  /** Default 3,000, or one pass over the corpus for `gsp-*`. */
  readonly requests?: number;
  /** Mean rate to which the workload's own arrival and think times are scaled. */
  readonly ratePerS?: number;
  /** Replaces the workload's own arrivals. */
  readonly arrivals?: ArrivalProcess;
}

/** Mean rate of a workload's own arrivals. Null: all arrive at once. */
export const ownRatePerS = (name: WorkloadName): number | null => generators[name].ratePerS;

/** Default number of requests of a workload. */
export function requestsOf(name: WorkloadName): number {
  const { requestsDefault: own }: Generator = generators[name];
  return own ?? requestsDefault;
}

/**
 * The same name, seed and options give the same workload. Another rate scales all arrivals and changes no prompt or
 * length. A workload whose requests arrive all at once gets Poisson arrivals at that rate.
 * @throws RangeError naming the invalid option
 */
export function generateWorkload(name: WorkloadName, seed: number, options: GenerateOptions = {}): Workload {
  const { requests, ratePerS, arrivals } = options;
  const generator: Generator = generators[name];
  const requestCount = requests ?? requestsOf(name);
  if (!Number.isSafeInteger(requestCount) || requestCount < 1) {
    throw new RangeError(`requests must be a positive integer, got ${requestCount}`);
  }
  if (ratePerS !== undefined && !(ratePerS > 0 && Number.isFinite(ratePerS))) {
    throw new RangeError(`ratePerS must be a positive number, got ${ratePerS}`);
  }
  if (ratePerS !== undefined && arrivals !== undefined) {
    throw new RangeError('give either ratePerS or arrivals, not both: arrivals has its own rate');
  }
  const workload = orderedWorkload({
    name,
    ...generator.generate(seed, requestCount),
    notes: generator.note === undefined ? [] : [generator.note],
  });
  const process = arrivals ?? (generator.ratePerS === null && ratePerS !== undefined ? poisson(ratePerS) : undefined);
  if (process !== undefined) return withArrivals(workload, process, seed);
  if (ratePerS === undefined || generator.ratePerS === null) return workload;
  return speedUp(workload, ratePerS / generator.ratePerS);
}

const poisson = (ratePerS: number): ArrivalProcess => ({ kind: 'poisson', ratePerS });
