// The bench of others' columns runs small.

import { expect, it } from 'vitest';
import { measureOthers } from '../../bench/decision-others.ts';

it('runs small', () => {
  const { ratios, aloneUs } = measureOthers(40, 2);
  expect(ratios).toHaveLength(2);
  for (const ratio of [...ratios, aloneUs]) expect(ratio).toBeGreaterThan(0);
});
