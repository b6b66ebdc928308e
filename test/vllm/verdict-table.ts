// The table of a run's results: observed value, requirement, and verdict of each check.

import { type Column, formatTable } from '../../src/report/text-table.ts';

export interface Verdict {
  readonly check: string;
  readonly seen: string;
  readonly required: string;
  readonly holds: boolean;
}

const columns: readonly Column[] = [
  { title: 'check', align: 'left' },
  { title: 'seen', align: 'left' },
  { title: 'required', align: 'left' },
  { title: '', align: 'left' },
];

/** Lines of the table. */
export function tabulate(verdicts: readonly Verdict[]): string[] {
  return formatTable(
    columns,
    verdicts.map(({ check, seen, required, holds }) => [check, seen, required, holds ? 'ok' : 'WRONG']),
  );
}
