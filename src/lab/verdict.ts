// Verdict of a comparison in one sentence: the policy with the lowest mean TTFT, and those not significantly different.

import { formatNumber } from '../report/text-table.ts';
import { pairedTtftRatio } from './paired-ratio.ts';
import type { PolicyRuns, ReportSection } from './report-section.ts';
import { meanOver } from './result-table.ts';
import { intervalText, type PolicySummary, policySummaries, summaryGroups } from './summary-table.ts';

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

/** Verdict on a whole comparison, one line per statement. Empty if there is nothing to summarize. */
export function overallVerdict(sections: readonly ReportSection[], reference: string): string[] {
  return summaryGroups(sections).flatMap(({ title, sections: group }) => groupVerdict(title, group, reference));
}

function groupVerdict(title: string, sections: readonly ReportSection[], reference: string): string[] {
  const summaries = policySummaries(sections, reference)?.filter(
    ({ geoMean, isReference }) => geoMean !== null && !isReference,
  );
  if (summaries === undefined || summaries.length < 2) return [];
  const byMean = [...summaries].sort((a, b) => a.geoMean! - b.geoMean!);
  const leaders = byMean
    .slice(0, 3)
    .map(({ policy, geoMean, interval }) => `${policy} ${formatNumber(geoMean!, 3)}${intervalText(interval)}`);
  const steady = [...summaries].sort((a, b) => a.furthest!.behindBest - b.furthest!.behindBest)[0]!;
  return [
    `Mean TTFT / ${reference}'s over ${title}: ${leaders.join(', ')}.`,
    behind(byMean[0]!),
    ...(steady === byMean[0] ? [] : [`Never far from the best: ${behind(steady)}`]),
  ];
}

function behind({ policy, furthest, tpotBehindBest, e2eBehindBest }: PolicySummary): string {
  const percent = (ratio: number | null): string => (ratio === null ? '-' : `${formatNumber((ratio - 1) * 100, 1)} %`);
  return (
    `${policy} against the best policy of each row: mean TTFT at worst ${formatNumber(furthest!.behindBest, 2)} x ` +
    `(${furthest!.row}), TPOT at worst +${percent(tpotBehindBest)}, E2E at worst +${percent(e2eBehindBest)}.`
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
