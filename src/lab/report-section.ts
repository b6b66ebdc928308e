// Results of a comparison, grouped for display by workload, load and policy.

import type { RunResult } from './run-result.ts';

/** Runs of one policy on one workload at one load: one per seed, in the same order for every policy. */
export interface PolicyRuns {
  readonly policy: string;
  readonly runs: readonly RunResult[];
}

export interface ReportLoad {
  /** Such as `0.9 of round robin's capacity`. Empty: the workload's own arrivals. */
  readonly label: string;
  readonly policies: readonly PolicyRuns[];
}

/** All policies on one workload, at one or several loads. */
export interface ReportSection {
  readonly title: string;
  readonly loads: readonly ReportLoad[];
}
