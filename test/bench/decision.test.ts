// The decision bench runs on the workload of its checksums, and every overlap is correct.

import { expect, it, vi } from 'vitest';
import { benchDecision } from '../../bench/decision.ts';

it('runs small', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  benchDecision(300);
  expect(log.mock.calls.flat().join('\n')).toContain('wrong overlaps, 300 prompts x 64: 0');
  log.mockRestore();
});
