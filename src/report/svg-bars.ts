// SVG bar chart: horizontal bars with reference lines.

import { linearScale } from './svg-scale.ts';
import { colour, svgImage, svgLabel, svgLine, widestPixels } from './svg-text.ts';

export interface Bar {
  readonly name: string;
  readonly value: number;
}

export interface BarChart {
  readonly title: string;
  readonly xLabel: string;
  readonly bars: readonly Bar[];
  /** Named vertical lines, such as a bound. */
  readonly references: readonly Bar[];
  readonly width?: number;
}

const barHeight = 18;
const top = 48;

export function barChart({ title, xLabel, bars, references, width = 560 }: BarChart): string {
  const bottom = top + bars.length * barHeight;
  const height = bottom + 40;
  const nameWidth = 16 + Math.ceil(widestPixels(bars.map(({ name }) => name)));
  const highest = [...bars, ...references].reduce((most, { value }) => Math.max(most, value), 0);
  const x = linearScale(0, highest, nameWidth, width - 30);
  return svgImage(width, height, title, [
    svgLabel(16, 18, title, 'start', ' font-weight="600" font-size="13"'),
    ...x.ticks.flatMap(({ at, label }) => [
      svgLine(at, top, at, bottom, '#e6e6e6'),
      svgLabel(at, bottom + 14, label, 'middle'),
    ]),
    svgLabel((nameWidth + width - 30) / 2, bottom + 30, xLabel, 'middle'),
    ...bars.flatMap(({ name, value }, index) => {
      const y = top + index * barHeight;
      const length = Math.max(0, x.at(value) - nameWidth);
      return [
        svgLabel(nameWidth - 6, y + 13, name, 'end'),
        `<rect x="${nameWidth}" y="${y + 3}" width="${length.toFixed(1)}" height="${barHeight - 6}" fill="${colour(index)}"/>`,
      ];
    }),
    ...references.flatMap(({ name, value }, index) => [
      svgLine(x.at(value), top - 6, x.at(value), bottom, '#555555'),
      svgLabel(x.at(value), top - 9 - index * 11, name, 'end', ' font-size="10"'),
    ]),
  ]);
}
