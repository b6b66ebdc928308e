// SVG bar chart: horizontal bars with their values, and reference lines.

import { linearScale } from './svg-scale.ts';
import { ink, svgImage, svgLabel, svgLine, svgTitle, widestPixels } from './svg-text.ts';

export interface Bar {
  readonly name: string;
  readonly value: number;
}

export interface BarChart {
  /** The finding. */
  readonly title: string;
  /** What is shown. */
  readonly subtitle?: string;
  readonly xLabel: string;
  readonly bars: readonly Bar[];
  /** Named vertical lines, such as a bound. */
  readonly references: readonly Bar[];
  readonly format: (value: number) => string;
  readonly width?: number;
}

const barHeight = 22;
const referenceHeight = 14;
const valueWidth = 56;

/** The longest bar is highlighted. */
export function barChart(chart: BarChart): string {
  const { title, subtitle = '', xLabel, bars, references, format, width = 720 } = chart;
  const { parts: titleParts, bottom: titleBottom } = svgTitle(16, width, title, subtitle);
  const top = titleBottom + 16 + references.length * referenceHeight;
  const bottom = top + bars.length * barHeight;
  const height = bottom + 44;
  const nameWidth = 24 + Math.ceil(widestPixels(bars.map(({ name }) => name)));
  const highest = [...bars, ...references].reduce((most, { value }) => Math.max(most, value), 0);
  const longest = bars.reduce((most, { value }) => Math.max(most, value), 0);
  const x = linearScale(0, highest, nameWidth, width - valueWidth);
  return svgImage(width, height, title, [
    ...titleParts,
    ...x.ticks.flatMap(({ at, label }) => [
      svgLine(at, top, at, bottom, ink.grid),
      svgLabel(at, bottom + 16, label, 'middle', ink.soft),
    ]),
    svgLabel((nameWidth + width - valueWidth) / 2, bottom + 34, xLabel, 'middle', ink.soft),
    ...bars.flatMap(({ name, value }, index) => {
      const y = top + index * barHeight;
      const length = Math.max(0, x.at(value) - nameWidth);
      const colour = value === longest ? ink.highlight : ink.bar;
      const weight = value === longest ? 'font-weight="600"' : '';
      return [
        svgLabel(nameWidth - 8, y + 15, name, 'end', weight),
        `<rect x="${nameWidth}" y="${y + 3}" width="${length.toFixed(1)}" height="${barHeight - 6}" ${colour}/>`,
        svgLabel(nameWidth + length + 6, y + 15, format(value), 'start', weight),
      ];
    }),
    ...references.flatMap(({ name, value }, index) => {
      const y = top - 5 - index * referenceHeight;
      return [
        svgLine(x.at(value), y + 3, x.at(value), bottom, `${ink.axis} stroke-dasharray="4 3"`),
        svgLabel(x.at(value) + 4, y, `${name} ${format(value)}`, x.at(value) > width * 0.7 ? 'end' : 'start', ink.soft),
      ];
    }),
  ]);
}
