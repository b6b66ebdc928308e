// The event intake bench runs small, and loses no batch.

import { expect, it } from 'vitest';
import { measureIntake } from '../../bench/kv-intake.ts';

it('runs small', async () => {
  const figures = await measureIntake(500, 0.5);
  expect(figures).toMatchObject({ messages: 250, lostBatches: 0, heldBlocks: 250 * 8 });
  expect(figures.busy.decisions).toBeGreaterThan(0);
  expect(figures.busy.heldMaxMs).toBeGreaterThanOrEqual(0);
});
