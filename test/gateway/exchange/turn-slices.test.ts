// Work in slices: all of it once and in order, and never much more than a slice per turn.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TurnSlices } from '../../../src/gateway/exchange/turn-slices.ts';

const sliceMsMax = 4;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('does all work once, in order, up to the slice in each turn', async () => {
  const step = fc.record({ works: fc.array(fc.nat(6), { maxLength: 8 }), held: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      let nowMs = 0;
      let held = false;
      const slices = new TurnSlices(sliceMsMax, () => nowMs, { hold: () => held });
      const done: number[] = [];
      let given = 0;
      let heldStarts = 0;
      let spentMs: number[] = [];
      const give = (costMs: number): void => {
        const id = given++;
        const atOnce = slices.idle;
        slices.run(() => {
          if (!atOnce && held) heldStarts += 1;
          done.push(id);
          spentMs.push(costMs);
          nowMs += costMs;
        });
        expect(done.includes(id)).toBe(atOnce);
      };
      for (const { works, held: next } of steps) {
        held = next;
        for (const costMs of works) give(costMs);
        spentMs = [];
        await turn();
        // Only the last piece of a turn may exceed the slice.
        const before = spentMs.slice(0, -1).reduce((sum, costMs) => sum + costMs, 0);
        expect(before).toBeLessThan(sliceMsMax);
      }
      held = false;
      while (done.length < given || !slices.idle) await turn();
      expect(done).toEqual(Array.from({ length: given }, (_, i) => i));
      expect(heldStarts).toBe(0);
    }),
    { numRuns: 200 },
  );
});

it('starts the next piece only after everything that the previous one can do at once', async () => {
  const slices = new TurnSlices(1000, () => 0);
  const steps: string[] = [];
  const work = async (name: string): Promise<void> => {
    const mine = slices.take();
    if (mine !== null) await mine;
    steps.push(`${name} reads`);
    for (let i = 0; i < 10; i++) await Promise.resolve();
    steps.push(`${name} books`);
  };
  await Promise.all(['a', 'b', 'c', 'd'].map(work));
  expect(steps).toEqual(['a', 'b', 'c', 'd'].flatMap((name) => [`${name} reads`, `${name} books`]));
});

it('with both ends does all work once, and the newest piece every other time', async () => {
  const counts = fc.array(fc.nat(9), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(counts, async (steps) => {
      let nowMs = 0;
      const slices = new TurnSlices(sliceMsMax, () => nowMs, { bothEnds: true });
      const done: number[] = [];
      let given = 0;
      for (const count of [...steps, 0]) {
        for (let i = 0; i < count; i++) {
          const id = given++;
          slices.run(() => {
            done.push(id);
            nowMs += 1;
          });
        }
        const [before, newest] = [done.length, given - 1];
        await turn();
        if (count > 0) expect(done.slice(0, before + 2)).toContain(newest);
      }
      while (!slices.idle) await turn();
      expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: given }, (_, i) => i));
    }),
    { numRuns: 200 },
  );
});
