// HTML report of an experiment in one file, plots included.

import {
  htmlDetails,
  htmlFigure,
  htmlHeading,
  htmlPage,
  htmlParagraph,
  htmlTable,
  htmlVerdict,
} from '../report/html-page.ts';
import { describeRuns } from './describe-runs.ts';
import { fleetTables, slowDownNote } from './fleet-tables.ts';
import type { ReportLoad, ReportSection } from './report-section.ts';
import { hitRatePlot, ttftOverLoadPlot, ttftOverTimePlot, ttftQuantilePlot, workerLoadPlot } from './result-plots.ts';
import { meanOver, ratioNote, resultTable, tableNotes } from './result-table.ts';
import { summaryGroups, summaryNote, summaryTable } from './summary-table.ts';
import { overallVerdict, verdict } from './verdict.ts';

/** @param reference policy that ratios refer to */
export function reportPage(title: string, sections: readonly ReportSection[], reference: string): string {
  const summaries = summaryGroups(sections).flatMap(({ title: of, sections: group }) => {
    const table = summaryTable(group, reference);
    return table === null ? [] : [htmlHeading(of), htmlTable(table.columns, table.rows)];
  });
  return htmlPage(title, [
    ...overallVerdict(sections, reference).map((line) => htmlVerdict(line)),
    ...summaries,
    ...sections.flatMap((section) => sectionHtml(section, reference)),
    htmlHeading('Notes'),
    ...(summaries.length === 0 ? [] : [htmlParagraph(summaryNote, true)]),
    ...tableNotes.map((note) => htmlParagraph(note, true)),
    htmlParagraph(ratioNote, true),
    ...(hasSlowDown(sections) ? [htmlParagraph(slowDownNote, true)] : []),
  ]);
}

export function hasSlowDown(sections: readonly ReportSection[]): boolean {
  return sections.some(({ loads }) => loads.some(({ policies }) => policies[0]!.runs[0]!.slowDown !== null));
}

function sectionHtml({ title, loads }: ReportSection, reference: string): string[] {
  const html = [htmlHeading(title)];
  for (const { label, policies } of loads) {
    if (label !== '') html.push(htmlParagraph(label));
    const found = verdict(policies, reference);
    if (found !== null) html.push(htmlVerdict(found));
    const { columns, rows } = resultTable(policies, reference);
    html.push(htmlTable(columns, rows));
    for (const table of fleetTables(policies)) html.push(htmlTable(table.columns, table.rows));
    html.push(...describeRuns(policies).map((line) => htmlParagraph(line, true)));
  }
  if (loads.length > 1) html.push(htmlFigure(overLoads(title, loads)));
  const { policies } = loads.at(-1)!;
  html.push(
    ...(policies[0]!.runs[0]!.slowDown === null ? [] : [htmlFigure(ttftOverTimePlot(title, policies))]),
    htmlFigure(ttftQuantilePlot(title, policies)),
    htmlFigure(hitRatePlot(title, policies)),
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
  return ttftOverLoadPlot(title, 'requests a second', series);
}
