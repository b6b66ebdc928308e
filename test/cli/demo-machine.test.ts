import { expect, it } from 'vitest';
import { machineLoad, machineWarning } from '../../src/cli/demo-machine.ts';

it.each([
  [50, 1.5, 3, false],
  [50, 6.9, 3, false],
  [50, 7.1, 3, true],
  [1, 2.2, 3, true],
  [50, 1, 101, true],
])('with steps of %d ms that end %d ms late and a client %d ms late, too busy is %s', (step, late, delay, expected) => {
  expect(machineLoad(step, late, delay).tooBusy).toBe(expected);
});

it('warns about the affected rows only', () => {
  const quiet = machineLoad(50, 1, 2);
  const busy = machineLoad(40, 30, 2);
  expect(machineWarning(new Map([['kv', quiet]]))).toBeNull();
  const warning = machineWarning(
    new Map([
      ['round-robin', quiet],
      ['kv', busy],
    ]),
  );
  expect(warning).toMatch(
    /^TOO BUSY: .* for kv\. Worst was kv: the engines' steps of 40\.0 ms ended 30\.0 ms late on average/,
  );
  expect(warning).not.toContain('round-robin');
});
