// A small line without axes, drawn on a canvas. The figure beside it says the value; the line shows where it comes from.

import { useEffect, useRef } from 'preact/hooks';
import { colourOf, useTheme } from '../theme.ts';

interface Props {
  /** Oldest first; null: no value, and the line goes on to the next one. */
  readonly values: readonly (number | null)[];
  /** Name of a colour of the style sheet. */
  readonly colour: string;
  /** Default: as wide as the place it stands in. */
  readonly width?: number;
  readonly height?: number;
  /** Bars in place of a line, for counts. */
  readonly bars?: boolean;
}

const lineWidth = 1.6;
/** Keeps the line and its dot inside the canvas. */
const inset = 3;

export function Sparkline({ values, colour, width, height = 30, bars = false }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const theme = useTheme();
  useEffect(() => {
    const element = canvas.current!;
    draw(element, values, colourOf(colour), width ?? element.clientWidth, height, bars);
  }, [values, colour, width, height, bars, theme]);
  const size = { width: width === undefined ? '100%' : `${width}px`, height: `${height}px` };
  return (
    <span class="sparkline" aria-hidden="true">
      <canvas ref={canvas} style={size} />
    </span>
  );
}

function draw(
  canvas: HTMLCanvasElement,
  values: readonly (number | null)[],
  colour: string,
  width: number,
  height: number,
  bars: boolean,
): void {
  const scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const most = values.reduce<number>((highest, value) => Math.max(highest, value ?? 0), 0);
  if (values.length === 0) return;
  const step = (width - 2 * inset) / Math.max(1, values.length - 1);
  const y = (value: number): number => height - inset - (most === 0 ? 0 : (value / most) * (height - 2 * inset));
  context.fillStyle = colour;
  context.strokeStyle = colour;
  if (bars) {
    const barWidth = Math.max(1, step * 0.7);
    for (const [at, value] of values.entries()) {
      if (value !== null && value > 0)
        context.fillRect(inset + at * step - barWidth / 2, y(value), barWidth, height - inset - y(value));
    }
    return;
  }
  const known = values.flatMap((value, at) => (value === null ? [] : [[at, value] as const]));
  if (known.length === 0) return;
  context.beginPath();
  for (const [at, value] of known) context.lineTo(inset + at * step, y(value));
  context.lineWidth = lineWidth;
  context.lineJoin = 'round';
  context.stroke();
  context.globalAlpha = 0.14;
  context.lineTo(inset + known.at(-1)![0] * step, height);
  context.lineTo(inset + known[0]![0] * step, height);
  context.fill();
  context.globalAlpha = 1;
  const last = values.at(-1) ?? null;
  if (last === null) return;
  context.beginPath();
  context.arc(inset + (values.length - 1) * step, y(last), 2.4, 0, 2 * Math.PI);
  context.fill();
}
