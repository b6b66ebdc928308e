// Entry point of the lab: runs any policy on any workload in virtual time and computes figures and bounds.

export { CapacitySearch } from './capacity-search.ts';
export { describeCluster, describeRuns, seedsOfTraceNote } from './describe-runs.ts';
export type { Fleet, SlowDown } from './fleet.ts';
export { fleetTables, slowDownNote } from './fleet-tables.ts';
export { executeJob, type JobResult, type LabJob, type ProbeResult } from './lab-job.ts';
export { pooledSpeedBound, speedBound } from './latency-bound.ts';
export { type PairedRatio, pairedTtftRatio } from './paired-ratio.ts';
export { policyPlot } from './policy-plot.ts';
export { type PolicySpec, parsePolicySpec } from './policy-spec.ts';
export {
  goodShareMin,
  lostProbe,
  missesMax,
  type PooledProbe,
  poolProbes,
  slowdownMax,
  spanOverE2eMin,
} from './pooled-probe.ts';
export { hasSlowDown, reportPage } from './report-page.ts';
export type { PolicyRuns, ReportLoad, ReportSection } from './report-section.ts';
export { hitRatePlot, ttftQuantilePlot } from './result-plots.ts';
export { type ResultTable, ratioNote, resultTable, tableNotes } from './result-table.ts';
export type { SummaryJson } from './run-figures.ts';
export { type RunResult, resultOf } from './run-result.ts';
export { fromJson, type RunSpec, type RunSpecJson, runSpecDefaults, toJson } from './run-spec.ts';
export { firstMeasured, simulate } from './simulation.ts';
export type { SimulationLimits, SimulationResult, SimulationWatch } from './simulation-result.ts';
export { type Slo, sloDefaults } from './slo.ts';
export { summaryGroups, summaryNote, summaryTable } from './summary-table.ts';
export { burstSpan, type CalmFigures, calmFigures, withBurst, withoutTenants } from './tenants.ts';
export { overallVerdict, verdict } from './verdict.ts';
