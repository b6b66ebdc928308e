// The intake bench runs, and measures every stage of both workloads.

import { expect, it, vi } from 'vitest';
import { benchIntake } from '../../../bench/intake.ts';

it('runs at a small size', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  await benchIntake(2, 1);
  const printed = log.mock.calls.flat().join('\n');
  log.mockRestore();
  expect(printed.match(/tokens: weight \d+, parse \d+, template and tokens \d+, block hashes \d+/g)).toHaveLength(2);
});
