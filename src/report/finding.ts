// The finding of a plot in one sentence: what is best, what is worst, and by how much.

export interface Candidate {
  readonly name: string;
  /** Null: it has none and is left out. */
  readonly value: number | null;
}

/** Differences within this share are called none. */
const evenShare = 0.05;

/**
 * @param what such as `mean TTFT`, in the middle of a sentence
 * @param format value with its unit
 * @param better which end is the best
 */
export function findingOf(
  what: string,
  candidates: readonly Candidate[],
  format: (value: number) => string,
  better: 'lower' | 'higher',
): string {
  const known = candidates.flatMap(({ name, value }) =>
    value === null || !Number.isFinite(value) ? [] : [{ name, value }],
  );
  if (known.length === 0) return `No ${what} was measured`;
  const sorted = known.toSorted((a, b) => (better === 'lower' ? a.value - b.value : b.value - a.value));
  const best = sorted[0]!;
  const worst = sorted.at(-1)!;
  if (known.length === 1) return `${best.name}: ${what} ${format(best.value)}`;
  const gap = Math.abs(worst.value - best.value) / Math.max(Math.abs(best.value), Math.abs(worst.value), 1e-12);
  if (gap <= evenShare) return `No policy stands out: ${what} from ${format(best.value)} to ${format(worst.value)}`;
  const end = better === 'lower' ? 'Lowest' : 'Highest';
  return `${end} ${what} under ${best.name}, ${format(best.value)}; under ${worst.name} ${format(worst.value)}`;
}
