// The report of an experiment as one HTML page with its plots inside.

import { htmlDetails, htmlFigure, htmlHeading, htmlPage, htmlParagraph, htmlTable } from '../report/html-page.ts';
import type { ReportLoad, ReportSection } from './report-section.ts';
import { hitRatePlot, ttftCdfPlot, ttftOverLoadPlot, workerLoadPlot } from './result-plots.ts';
import { meanOver, ratioNote, resultTable, tableNotes } from './result-table.ts';
import type { RunResult } from './run-result.ts';
import { summaryNote, summaryTable } from './summary-table.ts';

/** @param reference the policy that ratios are taken to */
export function reportPage(title: string, sections: readonly ReportSection[], reference: string): string {
  const summary = sections.length > 1 ? summaryTable(sections, reference) : null;
  return htmlPage(title, [
    ...(summary === null ? [] : [htmlTable(summary.columns, summary.rows), htmlParagraph(summaryNote, true)]),
    ...tableNotes.map((note) => htmlParagraph(note, true)),
    htmlParagraph(ratioNote, true),
    ...sections.flatMap((section) => sectionHtml(section, reference)),
  ]);
}

/** What a reader must know of the runs of a section. */
export function describeRuns({ workload, spec, cache, bounds }: RunResult): string[] {
  const rate = workload.ratePerS === null ? '' : `, ${workload.ratePerS.toFixed(2)} req/s`;
  const loop = workload.concurrencyMax === null ? '' : `, closed loop of ${workload.concurrencyMax}`;
  const { requests, islMean, oslMean } = workload;
  return [
    `${requests} requests, ISL ${islMean.toFixed(0)}, OSL ${oslMean.toFixed(0)}${rate}${loop}; ` +
      `${spec.workers} workers, ${spec.profile}${spec.engineSpeed === 1 ? '' : ` x ${spec.engineSpeed}`}, ` +
      `block ${spec.blockSize}, ${spec.kvTokens} KV tokens each`,
    `hit rate: ceiling ${cache.ceiling.toFixed(3)}, pooled LRU ${cache.pooledLru.toFixed(3)}; ` +
      `mean TTFT at least ${(bounds.ttftMeanMs / 1000).toFixed(3)} s; ` +
      `good: TTFT <= ${spec.slo.ttftMs / 1000} s + ${spec.slo.ttftPrefillFactor} x own prefill, TPOT <= ${spec.slo.tpotMs} ms`,
    ...workload.notes,
  ];
}

function sectionHtml({ title, loads }: ReportSection, reference: string): string[] {
  const html = [htmlHeading(title)];
  for (const { label, policies } of loads) {
    if (label !== '') html.push(htmlParagraph(label));
    html.push(...describeRuns(policies[0]!.runs[0]!).map((line) => htmlParagraph(line, true)));
    const { columns, rows } = resultTable(policies, reference);
    html.push(htmlTable(columns, rows));
  }
  if (loads.length > 1) html.push(htmlFigure(overLoads(title, loads)));
  const { policies } = loads.at(-1)!;
  html.push(
    htmlFigure(ttftCdfPlot(`${title}: distribution of TTFT`, policies)),
    htmlFigure(hitRatePlot(`${title}: hit rate`, policies)),
  );
  const workerLoads = policies.map(({ policy, runs }) => htmlFigure(workerLoadPlot(`${title}, ${policy}`, runs[0]!)));
  return [...html, htmlDetails('Load of each worker over time', workerLoads)];
}

function overLoads(title: string, loads: readonly ReportLoad[]): string {
  const series = loads[0]!.policies.map(({ policy }, at) => ({
    name: policy,
    points: loads.map(({ policies }) => {
      const { runs } = policies[at]!;
      const rate = meanOver(runs, ({ workload }) => workload.ratePerS) ?? Number.NaN;
      return [rate, (meanOver(runs, ({ measured }) => measured.ttftMs.mean) ?? Number.NaN) / 1000] as const;
    }),
  }));
  return ttftOverLoadPlot(`${title}: TTFT over load`, 'requests a second', series);
}
