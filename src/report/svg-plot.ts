// SVG line plot with linear or logarithmic axes.

import { linearScale, logScale, type Scale } from './svg-scale.ts';
import { colour, lineStyle, pixels, svgImage, svgLabel, svgLine, widestPixels } from './svg-text.ts';

export interface Series {
  readonly name: string;
  /** Points that are not finite are omitted. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly Series[];
  readonly xLog?: boolean;
  readonly yLog?: boolean;
  /** Draw a mark on every point, for lines with few points. Default false. */
  readonly marks?: boolean;
  /** Lowest value of the axis, unless a point is lower. Default: 0 for linear axes. */
  readonly xMin?: number;
  readonly width?: number;
  readonly height?: number;
}

const margin = { top: 30, right: 16, bottom: 42, left: 58 };
const legendRowHeight = 16;

export function linePlot(plot: Plot): string {
  const width = plot.width ?? 560;
  const legendColumnWidth = 40 + widestPixels(plot.series.map(({ name }) => name));
  const columns = Math.max(1, Math.floor((width - margin.left) / legendColumnWidth));
  const legendHeight = Math.ceil(plot.series.length / columns) * legendRowHeight;
  const height = (plot.height ?? 320) + legendHeight;
  const bottom = height - margin.bottom - legendHeight;
  const lines = plot.series.map(({ points }) => points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)));
  const all = lines.flat();
  if (all.length === 0) {
    return svgImage(width, height, plot.title, [svgLabel(width / 2, height / 2, 'nothing to show', 'middle')]);
  }
  const x = scaleOf(
    all.map(([value]) => value),
    plot.xLog,
    plot.xMin,
    margin.left,
    width - margin.right,
  );
  const y = scaleOf(
    all.map(([, value]) => value),
    plot.yLog,
    undefined,
    bottom,
    margin.top,
  );
  return svgImage(width, height, plot.title, [
    svgLabel(margin.left, 18, plot.title, 'start', ' font-weight="600" font-size="13"'),
    ...x.ticks.flatMap(({ at, label }) => [
      svgLine(at, margin.top, at, bottom, '#e6e6e6'),
      svgLabel(at, bottom + 14, label, 'middle'),
    ]),
    ...y.ticks.flatMap(({ at, label }) => [
      svgLine(margin.left, at, width - margin.right, at, '#e6e6e6'),
      svgLabel(margin.left - 6, at + 4, label, 'end'),
    ]),
    svgLabel((margin.left + width - margin.right) / 2, bottom + 32, plot.xLabel, 'middle'),
    svgLabel(0, 0, plot.yLabel, 'middle', ` transform="translate(14 ${(margin.top + bottom) / 2}) rotate(-90)"`),
    ...lines.flatMap((points, index) => drawLine(points, x, y, index, plot.marks ?? false)),
    ...plot.series.flatMap(({ name }, index) => {
      const at = Math.round(margin.left + (index % columns) * legendColumnWidth);
      const row = bottom + margin.bottom + Math.floor(index / columns) * legendRowHeight;
      return [
        `<path d="M${at} ${row}h18" fill="none" stroke-width="2" ${lineStyle(index)}/>`,
        svgLabel(at + 24, row + 4, name),
      ];
    }),
  ]);
}

function drawLine(
  points: readonly (readonly [number, number])[],
  x: Scale,
  y: Scale,
  index: number,
  marks: boolean,
): string[] {
  if (points.length === 0) return [];
  const path = points.map(([px, py]) => `${pixels(x.at(px))} ${pixels(y.at(py))}`).join('L');
  const drawn = [`<path d="M${path}" fill="none" stroke-width="1.6" ${lineStyle(index)}/>`];
  if (!marks) return drawn;
  return [
    ...drawn,
    ...points.map(
      ([px, py]) => `<circle cx="${pixels(x.at(px))}" cy="${pixels(y.at(py))}" r="2.6" fill="${colour(index)}"/>`,
    ),
  ];
}

function scaleOf(
  values: readonly number[],
  log: boolean | undefined,
  min: number | undefined,
  from: number,
  to: number,
): Scale {
  const lowest = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY);
  const highest = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  if (log) return logScale(Math.min(min ?? lowest, lowest), highest, from, to);
  return linearScale(Math.min(min ?? 0, lowest), highest, from, to);
}
