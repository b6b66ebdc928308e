// The `x-ratelimit-*` headers of the OpenAI API: limits per minute, what is left of them, and when all of it is.
// Source: https://platform.openai.com/docs/guides/rate-limits

/** One limit per minute. */
export interface RateState {
  readonly max: number;
  /** May be below 0 or a fraction. */
  readonly remaining: number;
  /** Until nothing of it is used. */
  readonly resetMs: number;
}

/** Names and values. Of several limits of one kind, the one with the least left is told. */
export function rateHeaders(requests: readonly RateState[], tokens: readonly RateState[]): readonly string[] {
  return [...headersOf('requests', requests), ...headersOf('tokens', tokens)];
}

function headersOf(kind: string, states: readonly RateState[]): readonly string[] {
  let [least] = states;
  if (least === undefined) return [];
  for (const state of states) if (state.remaining < least.remaining) least = state;
  return [
    ...[`x-ratelimit-limit-${kind}`, `${least.max}`],
    ...[`x-ratelimit-remaining-${kind}`, `${Math.max(0, Math.floor(least.remaining))}`],
    ...[`x-ratelimit-reset-${kind}`, durationText(least.resetMs)],
  ];
}

/** In the form of Go, as OpenAI writes it: 20ms, 6s, 1m30s. */
export function durationText(ms: number): string {
  if (ms <= 999) return `${Math.ceil(ms)}ms`;
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
