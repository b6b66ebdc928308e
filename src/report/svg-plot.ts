// SVG line plot with linear or logarithmic axes. Each line has its name at its end; none is hidden under another.

import { linearScale, logScale, type Scale } from './svg-scale.ts';
import { fillInk, ink, lineInk, pixels, svgImage, svgLabel, svgLine, svgTitle, widestPixels } from './svg-text.ts';

export interface Series {
  readonly name: string;
  /** In order of x. Points that are not finite are omitted. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  /** The finding. */
  readonly title: string;
  /** What is shown. */
  readonly subtitle?: string;
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

type Point = readonly [x: number, y: number];

const margin = { right: 14, bottom: 44, left: 58 };
const labelHeight = 15;
/** Lines that are closer than this on average are drawn as one, in dashes of both colours. */
const coincidentPixels = 2;
/** Of the second line of several that coincide, then of the third, and so on. */
const dashes = ['8 6', '4 10', '2 12'];

export function linePlot(plot: Plot): string {
  const { title, subtitle = '', series, width = 720 } = plot;
  const { parts: titleParts, bottom: titleBottom } = svgTitle(16, width, title, subtitle);
  const top = titleBottom + 16;
  const height = Math.max((plot.height ?? 300) + top, top + series.length * labelHeight + margin.bottom);
  const bottom = height - margin.bottom;
  const lines = series.map(({ points }) => points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)));
  const all = lines.flat();
  if (all.length === 0) {
    return svgImage(width, height, title, [
      ...titleParts,
      svgLabel(width / 2, height / 2, 'nothing to show', 'middle'),
    ]);
  }
  const right = width - margin.right - 16 - widestPixels(series.map(({ name }) => name));
  const x = scaleOf(
    all.map(([value]) => value),
    plot.xLog,
    plot.xMin,
    margin.left,
    right,
  );
  const y = scaleOf(
    all.map(([, value]) => value),
    plot.yLog,
    undefined,
    bottom,
    top,
  );
  const drawn = lines.map((points) => points.map(([px, py]) => [x.at(px), y.at(py)] as const));
  return svgImage(width, height, title, [
    ...titleParts,
    ...x.ticks.map(({ at, label }) => svgLabel(at, bottom + 16, label, 'middle', ink.soft)),
    ...y.ticks.flatMap(({ at, label }) => [
      svgLine(margin.left, at, right, at, ink.grid),
      svgLabel(margin.left - 7, at + 4, label, 'end', ink.soft),
    ]),
    svgLine(margin.left, bottom, right, bottom, ink.axis),
    svgLabel((margin.left + right) / 2, bottom + 35, plot.xLabel, 'middle', ink.soft),
    svgLabel(0, 0, plot.yLabel, 'middle', `transform="translate(14 ${(top + bottom) / 2}) rotate(-90)" ${ink.soft}`),
    ...drawn.flatMap((points, index) => drawLine(points, index, dashOf(drawn, index), plot.marks ?? false)),
    ...endLabels(series, drawn, right, top, bottom),
  ]);
}

function drawLine(points: readonly Point[], index: number, dash: string | null, marks: boolean): string[] {
  if (points.length === 0) return [];
  const path = points.map(([px, py]) => `${pixels(px)} ${pixels(py)}`).join('L');
  const dashed = dash === null ? '' : ` stroke-dasharray="${dash}"`;
  const line = `<path d="M${path}" fill="none" stroke-width="2" stroke-linejoin="round" ${lineInk(index)}${dashed}/>`;
  if (!marks) return [line];
  return [
    line,
    ...points.map(([px, py]) => `<circle cx="${pixels(px)}" cy="${pixels(py)}" r="2.8" ${fillInk(index)}/>`),
  ];
}

/** Null unless lines before this one coincide with it. */
function dashOf(lines: readonly (readonly Point[])[], index: number): string | null {
  const same = lines.slice(0, index).filter((before) => distance(lines[index]!, before) < coincidentPixels).length;
  return same === 0 ? null : dashes[Math.min(same, dashes.length) - 1]!;
}

/** Mean vertical distance of the points of a line from another one; infinite where the other has no point. */
function distance(line: readonly Point[], other: readonly Point[]): number {
  let sum = 0;
  for (const [px, py] of line) sum += Math.abs(py - heightAt(other, px));
  return line.length === 0 ? Number.POSITIVE_INFINITY : sum / line.length;
}

function heightAt(line: readonly Point[], px: number): number {
  const after = line.findIndex(([x]) => x >= px);
  if (after < 0) return Number.POSITIVE_INFINITY;
  const [rightX, rightY] = line[after]!;
  if (after === 0) return rightX - px < 1 ? rightY : Number.POSITIVE_INFINITY;
  const [leftX, leftY] = line[after - 1]!;
  return rightX === leftX ? rightY : leftY + ((px - leftX) / (rightX - leftX)) * (rightY - leftY);
}

/** Names beside the ends of their lines, moved apart where they would overlap, and then joined to them. */
function endLabels(
  series: readonly Series[],
  lines: readonly (readonly Point[])[],
  right: number,
  top: number,
  bottom: number,
): string[] {
  const ends = lines
    .flatMap((points, index) => (points.length === 0 ? [] : [{ index, x: points.at(-1)![0], y: points.at(-1)![1] }]))
    .sort((a, b) => a.y - b.y);
  const places = spread(
    ends.map(({ y }) => y),
    top,
    bottom,
  );
  return ends.flatMap(({ index, x, y }, at) => {
    const place = places[at]!;
    const label = svgLabel(right + 16, place + 4, series[index]!.name, 'start', `${fillInk(index)} font-weight="600"`);
    if (Math.abs(place - y) < 3 && right - x < 8) return [label];
    const joint = `<path d="M${pixels(x + 3)} ${pixels(y)}L${pixels(right + 4)} ${pixels(y)}L${pixels(right + 13)} ${pixels(place)}" fill="none" stroke-width="1" stroke-opacity="0.55" ${lineInk(index)}/>`;
    return [joint, label];
  });
}

/** Heights at least one label apart, in order, as near to the wished ones as that allows. @param wished ascending */
function spread(wished: readonly number[], top: number, bottom: number): number[] {
  const places = [...wished];
  for (let at = 0; at < places.length; at++) {
    places[at] = Math.max(places[at]!, at === 0 ? top : places[at - 1]! + labelHeight);
  }
  for (let at = places.length - 1; at >= 0; at--) {
    places[at] = Math.min(places[at]!, at === places.length - 1 ? bottom : places[at + 1]! - labelHeight);
  }
  return places;
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
