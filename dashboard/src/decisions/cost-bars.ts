// The parts of a candidate's cost as a bar shows them: each added term, times the factors that apply to the sum.

import type { CandidateState } from '../data.ts';

export interface CostPart {
  readonly name: string;
  readonly label: string;
  /** In the unit of the cost. */
  readonly value: number;
  /** Before the factors, in `unit`. */
  readonly own: number;
  readonly unit: string;
  readonly colour: string;
}

export interface CostFactor {
  readonly name: string;
  readonly label: string;
  readonly value: number;
}

export interface CostBar {
  readonly parts: readonly CostPart[];
  readonly factors: readonly CostFactor[];
}

const colours = ['--prompt', '--output', '--shared', '--others', '--accent', '--warn'];

/**
 * Terms are read in order: a sum is added, a factor multiplies all before it. What is subtracted shortens the parts from
 * the end. Without terms the cost is one part.
 */
export function costBar({ terms, cost }: Pick<CandidateState, 'terms' | 'cost'>): CostBar {
  const parts: { name: string; label: string; value: number; own: number; unit: string }[] = [];
  const factors: CostFactor[] = [];
  for (const { name, label, kind, value, unit } of terms) {
    if (kind === 'sum') {
      parts.push({ name, label, value, own: value, unit });
      continue;
    }
    for (const part of parts) part.value *= value;
    factors.push({ name, label, value });
  }
  if (parts.length === 0) parts.push({ name: 'cost', label: 'cost', value: cost ?? 0, own: cost ?? 0, unit: '' });
  let owed = 0;
  for (const part of parts.toReversed()) {
    const left = part.value - owed;
    owed = Math.max(0, -left);
    part.value = Math.max(0, left);
  }
  return { parts: parts.map((part, at) => ({ ...part, colour: colours[at % colours.length]! })), factors };
}
