// Findings: the best, the worst, or that nothing stands out.

import { describe, expect, it } from 'vitest';
import { findingOf } from '../../src/report/finding.ts';

const seconds = (value: number): string => `${value} s`;

describe('findingOf', () => {
  it('names the best and the worst, whichever end is the best', () => {
    const runs = [
      { name: 'a', value: 2 },
      { name: 'b', value: 1 },
      { name: 'c', value: 4 },
      { name: 'failed', value: null },
    ];
    expect(findingOf('mean TTFT', runs, seconds, 'lower')).toBe('Lowest mean TTFT under b, 1 s; under c 4 s');
    expect(findingOf('hit rate', runs, String, 'higher')).toBe('Highest hit rate under c, 4; under b 1');
  });

  it('says so if nothing stands out, or nothing is known', () => {
    const runs = [1, 1.02, 1.04].map((value, at) => ({ name: `p${at}`, value }));
    expect(findingOf('mean TTFT', runs, seconds, 'lower')).toBe('No policy stands out: mean TTFT from 1 s to 1.04 s');
    expect(findingOf('mean TTFT', [{ name: 'a', value: null }], seconds, 'lower')).toBe('No mean TTFT was measured');
    expect(findingOf('mean TTFT', [{ name: 'a', value: 3 }], seconds, 'lower')).toBe('a: mean TTFT 3 s');
  });
});
