// Numbers as text: thin, with units, three figures at most where more would not be read.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** Stands where nothing is known. */
export const nothing = '–';

/** `12,345`. */
export function count(value: number | null): string {
  return value === null || !Number.isFinite(value) ? nothing : whole.format(value);
}

/** Three significant figures: `0.42`, `9.6`, `128`, `12.3k`, `4.56M`. */
export function short(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return nothing;
  const size = Math.abs(value);
  if (size >= 999_500_000) return `${three(value / 1e9)}B`;
  if (size >= 999_500) return `${three(value / 1e6)}M`;
  if (size >= 9_999.5) return `${three(value / 1e3)}k`;
  if (size >= 999.5) return whole.format(value);
  return three(value);
}

function three(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return trimmed(value.toFixed(1));
  return trimmed(value.toFixed(2));
}

function trimmed(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** `0.4 ms`, `390 ms`, `2.17 s`, `1 min 12 s`. */
export function duration(ms: number | null): string {
  if (ms === null || !Number.isFinite(ms)) return nothing;
  if (Math.abs(ms) < 999.5) return `${three(ms)} ms`;
  if (Math.abs(ms) < 99_950) return `${three(ms / 1000)} s`;
  const minutes = Math.floor(ms / 60_000);
  const seconds = Math.round((ms % 60_000) / 1000);
  if (minutes < 60) return `${minutes} min${seconds === 0 ? '' : ` ${seconds} s`}`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)} h${rest === 0 ? '' : ` ${rest} min`}`;
}

/** Share 0..1 as `47 %`; small ones keep a figure: `0.4 %`. */
export function percent(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return nothing;
  const value = share * 100;
  return `${Math.abs(value) < 9.95 && value !== 0 ? trimmed(value.toFixed(1)) : value.toFixed(0)} %`;
}

/** `1.8×`. */
export function times(factor: number | null): string {
  return factor === null || !Number.isFinite(factor) ? nothing : `${three(factor)}×`;
}

/** `1 request`, `12 requests`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Time of day, local: `14:03:07`. */
export function clock(unixMs: number): string {
  const at = new Date(unixMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** How long ago: `now`, `4 s ago`, `3 min ago`. */
export function ago(ms: number): string {
  if (ms < 1500) return 'now';
  if (ms < 90_000) return `${Math.round(ms / 1000)} s ago`;
  if (ms < 5_400_000) return `${Math.round(ms / 60_000)} min ago`;
  return `${Math.round(ms / 3_600_000)} h ago`;
}

/** A bare number that multiplies. */
export function factor(value: number): string {
  return short(value);
}
