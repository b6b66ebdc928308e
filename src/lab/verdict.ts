// Verdict of a comparison in one sentence: the policy with the lowest mean TTFT, and those not significantly different.

import { formatNumber } from '../report/text-table.ts';
import { pairedTtftRatio } from './paired-ratio.ts';
import type { PolicyRuns, ReportSection } from './report-section.ts';
import { meanOver } from './result-table.ts';
import { policyScores } from './summary-table.ts';

/**
 * Verdict on several policies on one workload at one load. Null for a single policy. @param reference may be missing
 */
export function verdict(policies: readonly PolicyRuns[], reference: string): string | null {
  if (policies.length < 2) return null;
  const failures = policies.map(failedOf);
  const fewest = Math.min(...failures);
  // A mean over fewer requests is not comparable.
  const complete = policies.filter((one) => failedOf(one) === fewest && meanTtftMs(one) !== null);
  const best = complete.reduce<PolicyRuns | null>(
    (least, one) => (least === null || meanTtftMs(one)! < meanTtftMs(least)! ? one : least),
    null,
  );
  if (best === null) return 'No verdict: no request ended.';
  const others = complete.filter((one) => one !== best);
  const equals = others.filter((one) => !isSlower(one, best)).map(({ policy }) => policy);
  const incomplete = policies.filter((_, at) => failures[at]! > fewest).map(({ policy }) => policy);
  const base = policies.find(({ policy }) => policy === reference);
  const share = meanOver(best.runs, ({ measured }) => measured.goodShare);
  return [
    `Lowest mean TTFT: ${best.policy}, ${formatNumber(meanTtftMs(best)! / 1000, 3)} s${ratioTo(best, base)}` +
      `${share === null ? '' : `, ${formatNumber(share * 100, 1)} % good`}.`,
    ...(equals.length === 0 ? [] : [`Not told apart from it: ${equals.join(', ')}.`]),
    ...(fewest === 0 ? [] : [`Every policy failed requests, ${formatNumber(fewest)} at least.`]),
    ...(incomplete.length === 0 ? [] : [`Left out, since they failed more requests: ${incomplete.join(', ')}.`]),
  ].join(' ');
}

/** Verdict on a whole comparison. Null if there is nothing to summarize. */
export function overallVerdict(sections: readonly ReportSection[], reference: string): string | null {
  const scores = policyScores(sections, reference)?.filter(({ geoMean }) => geoMean !== null) ?? [];
  if (sections.length < 2 || scores.length < 2) return null;
  const byMean = [...scores].sort((a, b) => a.geoMean! - b.geoMean!);
  const byWorst = [...scores].sort((a, b) => a.worstBehindBest! - b.worstBehindBest!);
  const leaders = byMean.slice(0, 3).map(({ policy, geoMean }) => `${policy} ${formatNumber(geoMean!, 3)}`);
  const steady = byWorst[0]!;
  return (
    `Mean TTFT over ${reference}'s, over all workloads: ${leaders.join(', ')}. ` +
    `Never far from the best: ${steady.policy}, at worst ${formatNumber(steady.worstBehindBest!, 2)} x as slow.`
  );
}

const failedOf = ({ runs }: PolicyRuns): number => runs.reduce((sum, { measured }) => sum + measured.failed, 0);

const meanTtftMs = ({ runs }: PolicyRuns): number | null => meanOver(runs, ({ measured }) => measured.ttftMs.mean);

function isSlower(policy: PolicyRuns, best: PolicyRuns): boolean {
  const interval = pairedTtftRatio(policy.runs, best.runs)?.interval;
  return interval != null && interval.low > 1;
}

function ratioTo(best: PolicyRuns, base: PolicyRuns | undefined): string {
  const ratio = base === undefined || base === best ? null : pairedTtftRatio(best.runs, base.runs);
  return ratio === null ? '' : `, ${formatNumber(ratio.ratio, 3)} of ${base!.policy}'s`;
}
