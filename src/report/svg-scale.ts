// Axis scales, linear or logarithmic: values to pixel positions, and round ticks.

export interface Scale {
  /** Position in pixels. */
  at(value: number): number;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
}

/** @param low .. high what the axis must cover @param from .. to in pixels */
export function linearScale(low: number, high: number, from: number, to: number): Scale {
  const step = roundStep((high - low || 1) / 5);
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const at = (value: number): number => from + ((value / step - first) / (last - first)) * (to - from);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    const value = (first + i) * step;
    return { at: at(value), label: value.toFixed(digits) };
  });
  return { at, ticks };
}

/** Values of 0 and below are placed at the low end. */
export function logScale(low: number, high: number, from: number, to: number): Scale {
  const lowest = low > 0 ? low : high / 1000;
  const first = Math.log10(lowest);
  const width = Math.max(Math.log10(high) - first, 0.3);
  const at = (value: number): number => from + ((Math.log10(Math.max(value, lowest)) - first) / width) * (to - from);
  const factors = width > 2.5 ? [1] : width > 1.2 ? [1, 3] : [1, 2, 5];
  const ticks: { at: number; label: string }[] = [];
  for (let power = Math.floor(first); power <= first + width; power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      const position = (Math.log10(value) - first) / width;
      if (position < -1e-9 || position > 1 + 1e-9) continue;
      ticks.push({ at: at(value), label: power < 0 ? value.toFixed(-power) : value.toFixed(0) });
    }
  }
  return { at, ticks };
}

/** 1, 2 or 5 times a power of ten, at least `step`. */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= step * (1 - 1e-9)) ?? 10;
  return factor * power;
}
