// A chart over time: lines with their names and latest values above, and a table of the same for screen readers.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock, nothing } from '../format.ts';
import { colourOf, useTheme } from '../theme.ts';

export interface ChartLine {
  readonly name: string;
  /** Oldest first; null: no value. */
  readonly values: readonly (number | null)[];
  /** Name of a colour of the style sheet. */
  readonly colour: string;
  readonly dashed?: boolean;
}

/** Points without a value that a line passes over. */
const bridgedMax = 12;

interface Props {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  /** Unix time of the last value. */
  readonly endMs: number;
  readonly stepMs: number;
  readonly format: (value: number | null) => string;
  readonly height?: number;
  /** Each line stands on those before it, as an area. */
  readonly stacked?: boolean;
  /** Highest value of the axis, unless a value is higher. */
  readonly top?: number;
  /** A short remark under the title. */
  readonly note?: string;
  /** The axis goes below 0. */
  readonly signed?: boolean;
}

export function TimeChart(props: Props) {
  const { title, lines, format, note } = props;
  const [pointed, setPointed] = useState<number | null>(null);
  const { box } = usePlot(props, setPointed);
  const at = pointed ?? latestIndex(lines);
  const { endMs, stepMs } = props;
  const timeAt = endMs - (lengthOf(lines) - 1 - at) * stepMs;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="lines">
          {lines.map((line) => (
            <li key={line.name}>
              <svg class="swatch" viewBox="0 0 14 10" aria-hidden="true">
                <path
                  d="M0 5h14"
                  stroke-width="3"
                  stroke-dasharray={line.dashed === true ? '4 2.5' : undefined}
                  style={{ stroke: `var(${line.colour})` }}
                />
              </svg>
              {lines.length > 1 && <span class="soft">{line.name}</span>}
              <strong>{format(line.values[at] ?? null)}</strong>
            </li>
          ))}
          {pointed !== null && <li class="faint">{clock(timeAt)}</li>}
        </ul>
        {note !== undefined && <p class="faint">{note}</p>}
      </figcaption>
      <div class="plot" ref={box} aria-hidden="true" />
      <Summary {...props} />
    </figure>
  );
}

/** What the lines show, for those who can't see them. */
function Summary({ title, lines, format }: Props) {
  return (
    <table class="hidden">
      <caption>{title}</caption>
      <thead>
        <tr>
          <th scope="col">Line</th>
          <th scope="col">Now</th>
          <th scope="col">Lowest</th>
          <th scope="col">Highest</th>
        </tr>
      </thead>
      <tbody>
        {lines.map(({ name, values }) => {
          const known = values.filter((value) => value !== null);
          return (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{format(known.at(-1) ?? null)}</td>
              <td>{known.length === 0 ? nothing : format(Math.min(...known))}</td>
              <td>{known.length === 0 ? nothing : format(Math.max(...known))}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function usePlot(props: Props, onPoint: (index: number | null) => void) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const { lines, endMs, stepMs, stacked = false } = props;
  const data = useMemo(() => plotData(lines, endMs, stepMs, stacked), [lines, endMs, stepMs, stacked]);
  const shape = `${lines.map(({ name, colour }) => name + colour).join()}/${theme}/${stacked}`;
  useEffect(() => {
    const place = box.current!;
    const made = new uPlot(optionsFor(props, place.clientWidth, onPoint), data, place);
    plot.current = made;
    const watch = new ResizeObserver(() => {
      if (place.clientWidth > 0) made.setSize({ width: place.clientWidth, height: props.height ?? 140 });
    });
    watch.observe(place);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  return { box };
}

function optionsFor(props: Props, width: number, onPoint: (index: number | null) => void): uPlot.Options {
  const { lines, format, height = 140, stacked = false, top = 0, signed = false } = props;
  const grid = { stroke: colourOf('--line'), width: 1 };
  const axis = { stroke: colourOf('--faint'), grid, ticks: { show: false }, font: '11.5px sans-serif' };
  return {
    width,
    height,
    // On the right there is room for half of the last time.
    padding: [8, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: !stacked, size: 6 } },
    scales: {
      x: { time: true },
      y: { range: (_plot, least, most) => [signed ? Math.min(0, least ?? 0) : 0, Math.max(top, most ?? 0) || 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 56,
        size: 26,
        values: (_plot, times) => times.map((s) => shortClock(s)),
      },
      { ...axis, size: 58, space: 34, values: (_plot, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line) => {
        const colour = colourOf(line.colour);
        return {
          label: line.name,
          stroke: colour,
          // An edge would give an empty part of a stack a line of its own.
          width: stacked ? 0 : 1.8,
          spanGaps: false,
          points: { show: false },
          ...(line.dashed === true && { dash: [5, 3] }),
          ...(stacked ? { fill: colour } : { fill: translucent(colour, lines.length === 1 ? 0.12 : 0) }),
        };
      }),
    ],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

/** Stacked: the sums, the highest first, so that each area covers the lower part of the one before. */
function plotData(lines: readonly ChartLine[], endMs: number, stepMs: number, stacked: boolean): uPlot.AlignedData {
  const length = lengthOf(lines);
  const times = Array.from({ length }, (_, at) => (endMs - (length - 1 - at) * stepMs) / 1000);
  if (!stacked) return [times, ...lines.map(({ values }) => bridged(values))];
  const sums: (number | null)[][] = lines.map(() => []);
  for (let at = 0; at < length; at++) {
    let sum: number | null = null;
    for (let line = lines.length - 1; line >= 0; line--) {
      const value = lines[line]!.values[at] ?? null;
      if (value !== null) sum = (sum ?? 0) + value;
      sums[line]!.push(sum);
    }
  }
  return [times, ...sums];
}

/** uPlot draws on over what is undefined, and stops at null: short pauses between requests are no gap. */
function bridged(values: readonly (number | null)[]): (number | null | undefined)[] {
  const result: (number | null | undefined)[] = [...values];
  let from = 0;
  for (let at = 0; at <= result.length; at++) {
    if (at < result.length && result[at] === null) continue;
    if (from > 0 && at < result.length && at - from <= bridgedMax) result.fill(undefined, from, at);
    from = at + 1;
  }
  return result;
}

function lengthOf(lines: readonly ChartLine[]): number {
  return lines.reduce((most, { values }) => Math.max(most, values.length), 0);
}

/** The last point at which some line has a value. */
function latestIndex(lines: readonly ChartLine[]): number {
  for (let at = lengthOf(lines) - 1; at > 0; at--) {
    if (lines.some(({ values }) => (values[at] ?? null) !== null)) return at;
  }
  return 0;
}

function shortClock(unixS: number): string {
  const text = clock(unixS * 1000);
  return text.endsWith(':00') ? text.slice(0, 5) : text;
}

function translucent(colour: string, alpha: number): string {
  return colour.replace('rgb(', 'rgba(').replace(')', `, ${alpha})`);
}
