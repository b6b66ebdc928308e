// Picture of a comparison: for each policy its mean TTFT relative to the reference, and its worst row.

import { linearScale, logScale, type Scale } from '../report/svg-scale.ts';
import { ink, svgImage, svgLabel, svgLine, svgTitle, widestPixels } from '../report/svg-text.ts';
import { formatNumber } from '../report/text-table.ts';
import type { ReportSection } from './report-section.ts';
import { type PolicySummary, policySummaries, summaryGroups } from './summary-table.ts';

const width = 860;
const barHeight = 20;
const top = 78;
const bottomMargin = 26;
const gap = 56;

interface Panel {
  readonly title: string;
  readonly subtitle: string;
  readonly figureOf: (score: Ranked) => number;
  readonly scaleOf: (most: number, from: number, to: number) => Scale;
}

type Ranked = PolicySummary & { readonly geoMean: number; readonly furthest: NonNullable<PolicySummary['furthest']> };

/**
 * Bars of the rows with a rate, best policy first: means on a linear axis from 0, worst rows on a logarithmic one from 1.
 * References (`told=on`) are left out.
 * @param highlight policy drawn in colour
 * @returns null if fewer than two policies can be compared, or `reference` is not among them
 */
export function policyPlot(sections: readonly ReportSection[], reference: string, highlight: string): string | null {
  const [group] = summaryGroups(sections);
  const summaries = group === undefined ? null : policySummaries(group.sections, reference);
  const ranked = (summaries ?? [])
    .filter((score): score is Ranked => !score.isReference && score.geoMean !== null && score.furthest !== null)
    .sort((a, b) => a.geoMean - b.geoMean);
  if (ranked.length < 2) return null;
  const panels: Panel[] = [
    {
      title: `Mean TTFT / ${reference}`,
      subtitle: `geometric mean over ${group!.title.replace(/^all /, '')}`,
      figureOf: ({ geoMean }) => geoMean,
      scaleOf: (most, from, to) => linearScale(0, most, from, to),
    },
    {
      title: 'Worst row / best policy of that row',
      subtitle: 'mean TTFT; 1 is never behind',
      figureOf: ({ furthest }) => furthest.behindBest,
      scaleOf: (most, from, to) => logScale(1, most, from, to),
    },
  ];
  const nameWidth = 16 + Math.ceil(widestPixels(ranked.map(({ policy }) => policy)));
  const bottom = top + ranked.length * barHeight;
  const panelWidth = (width - nameWidth - gap * panels.length) / panels.length;
  const title = titleOf(ranked, reference);
  return svgImage(width, bottom + bottomMargin, title, [
    ...svgTitle(16, width, title, '').parts,
    ...ranked.map(({ policy }, row) =>
      svgLabel(nameWidth - 6, rowMiddle(row), policy, 'end', policy === highlight ? 'font-weight="600"' : ''),
    ),
    ...panels.flatMap((panel, at) =>
      drawPanel(panel, ranked, nameWidth + at * (panelWidth + gap), panelWidth, bottom, highlight),
    ),
  ]);
}

function titleOf(ranked: readonly Ranked[], reference: string): string {
  const { policy, geoMean, furthest } = ranked[0]!;
  const ahead = `${policy} waits least: ${formatNumber(geoMean, 2)} of ${reference}'s time to first token`;
  return `${ahead}, at worst ${formatNumber(furthest.behindBest, 2)} x the best policy`;
}

function drawPanel(
  { title, subtitle, figureOf, scaleOf }: Panel,
  ranked: readonly Ranked[],
  left: number,
  panelWidth: number,
  bottom: number,
  highlight: string,
): string[] {
  const x = scaleOf(Math.max(1, ...ranked.map(figureOf)), left, left + panelWidth);
  return [
    svgLabel(left, 46, title, 'start', 'font-weight="600"'),
    svgLabel(left, 62, subtitle, 'start', ink.soft),
    ...gridOf(x, bottom),
    ...ranked.flatMap((score, row) => {
      const end = x.at(figureOf(score));
      const colour = score.policy === highlight ? ink.highlight : ink.bar;
      const y = top + row * barHeight + 3;
      return [
        `<rect x="${left.toFixed(1)}" y="${y}" width="${(end - left).toFixed(1)}" height="${barHeight - 6}" ${colour}/>`,
        svgLabel(end + 5, rowMiddle(row), formatNumber(figureOf(score), 2)),
      ];
    }),
    svgLine(x.at(1), top - 6, x.at(1), bottom, ink.axis),
  ];
}

function gridOf(x: Scale, bottom: number): string[] {
  return x.ticks.flatMap(({ at, label }) => [
    svgLine(at, top, at, bottom, ink.grid),
    svgLabel(at, bottom + 14, label, 'middle', ink.soft),
  ]);
}

function rowMiddle(row: number): number {
  return top + row * barHeight + 14;
}
