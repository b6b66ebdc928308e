// Plain text tables with columns aligned by spaces.

export interface Column {
  readonly title: string;
  /** Default: right, for numbers. */
  readonly align?: 'left' | 'right';
  /** Neighbouring columns of one group share a heading. */
  readonly group?: string;
}

const columnGap = '  ';

/** Lines of the table, without newlines. @throws RangeError if a row does not have one cell per column */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map((column) => column.title), ...rows];
  for (const line of lines) {
    if (line.length !== columns.length) {
      throw new RangeError(`a row has ${line.length} cells for ${columns.length} columns: ${line.join(' | ')}`);
    }
  }
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  const spans = groupSpans(columns);
  for (const span of spans) widths[span.from]! += Math.max(0, span.name.length - spanWidth(span, widths));
  const format = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => (columns[at]!.align === 'left' ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join(columnGap)
      .trimEnd();
  const names = spans.map((span) => centred(span.name, spanWidth(span, widths))).join(columnGap);
  const rule = widths.map((width) => '-'.repeat(width)).join(columnGap);
  return [...(names.trim() === '' ? [] : [names.trimEnd()]), format(lines[0]!), rule, ...rows.map(format)];
}

/** Columns `from` .. `to` - 1. Without a group: one column without heading. */
export interface GroupSpan {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export function groupSpans(columns: readonly Column[]): GroupSpan[] {
  const spans: GroupSpan[] = [];
  for (let from = 0; from < columns.length; from = spans.at(-1)!.to) {
    const { group } = columns[from]!;
    let to = from + 1;
    while (group !== undefined && columns[to]?.group === group) to++;
    spans.push({ name: group ?? '', from, to });
  }
  return spans;
}

function spanWidth({ from, to }: GroupSpan, widths: readonly number[]): number {
  return widths.slice(from, to).reduce((sum, width) => sum + width, columnGap.length * (to - from - 1));
}

/** Centres a heading between dashes that show its columns. */
function centred(name: string, width: number): string {
  if (name === '') return ' '.repeat(width);
  const room = width - name.length - 2;
  if (room < 2) return name.padStart(width);
  return `${'-'.repeat(Math.floor(room / 2))} ${name} ${'-'.repeat(Math.ceil(room / 2))}`;
}

/** Formats a number with thousands separators. `n/a` if it is not finite. */
export function formatNumber(value: number, digits = 0): string {
  if (!Number.isFinite(value)) return 'n/a';
  const [whole, fraction] = value.toFixed(digits).split('.');
  const grouped = whole!.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}
