import { describe, expect, it } from 'vitest';
import { formatNumber, formatTable } from '../../src/report/text-table.ts';

describe('formatTable', () => {
  it('aligns text left, numbers right, and leaves no space at line ends', () => {
    const table = formatTable(
      [{ title: 'policy', align: 'left' }, { title: 'req/s' }],
      [
        ['kv', '101.5'],
        ['round-robin', '9.0'],
      ],
    );
    expect(table).toEqual(['policy       req/s', '-----------  -----', 'kv           101.5', 'round-robin    9.0']);
  });

  it('puts groups of columns under their heading', () => {
    const columns = [
      { title: 'row', align: 'left' as const },
      { title: 'mean', group: 'TTFT, s' },
      { title: 'p99', group: 'TTFT, s' },
      { title: 'n' },
      { title: 'max', group: 'most of all' },
    ];
    expect(formatTable(columns, [['kv', '0.512', '2.5', '10', '7']])).toEqual([
      '        TTFT, s      most of all',
      'row   mean  p99   n          max',
      '---  -----  ---  --  -----------',
      'kv   0.512  2.5  10            7',
    ]);
    const wide = formatTable(columns, [['kv', '1234567.5', '2.5', '10', '7']]);
    expect(wide[0]).toBe('     -- TTFT, s ---      most of all');
  });

  it('refuses a row of another length', () => {
    expect(() => formatTable([{ title: 'a' }], [['1', '2']])).toThrow(/2 cells for 1 columns/);
  });
});

describe('formatNumber', () => {
  it('separates thousands and rounds', () => {
    expect([0, 999.6, 1234567.891, -1234].map((value) => formatNumber(value))).toEqual([
      '0',
      '1,000',
      '1,234,568',
      '-1,234',
    ]);
    expect(formatNumber(1234.5678, 2)).toBe('1,234.57');
    expect(formatNumber(Number.NaN, 2)).toBe('n/a');
  });
});
