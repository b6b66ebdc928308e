// What a comparison yields, in the shape in which it is shown: workload by workload, load by load, policy by policy.

import type { RunResult } from './run-result.ts';

/** The runs of one policy on one workload at one load: one a seed, in the same order for every policy. */
export interface PolicyRuns {
  readonly policy: string;
  readonly runs: readonly RunResult[];
}

export interface ReportLoad {
  /** Such as `0.9 of round robin's capacity`; empty: the arrivals as they are. */
  readonly label: string;
  readonly policies: readonly PolicyRuns[];
}

/** All policies on one workload; several loads where it was run at several. */
export interface ReportSection {
  readonly title: string;
  readonly loads: readonly ReportLoad[];
}
