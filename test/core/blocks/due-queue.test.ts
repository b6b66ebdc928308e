// Items come out at their time, earliest first, equal times in order of insertion, as from a sorted list.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DueQueue } from '../../../src/core/blocks/due-queue.ts';

it('equals a sorted list', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('push' as const),
      dueMs: fc.oneof(fc.nat(8), fc.constant(Number.POSITIVE_INFINITY)),
    }),
    fc.record({ kind: fc.constant('pop' as const), nowMs: fc.nat(10) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new DueQueue<number>();
      const twin: { dueMs: number; item: number }[] = [];
      for (const [item, one] of steps.entries()) {
        if (one.kind === 'push') {
          queue.push(one.dueMs, item);
          const behind = twin.findIndex(({ dueMs }) => dueMs > one.dueMs);
          twin.splice(behind < 0 ? twin.length : behind, 0, { dueMs: one.dueMs, item });
        } else {
          const isDue = twin.length > 0 && twin[0]!.dueMs <= one.nowMs;
          expect(queue.popDue(one.nowMs)).toBe(isDue ? twin.shift()!.item : undefined);
        }
        expect(queue.size).toBe(twin.length);
      }
      while (twin.length > 0) expect(queue.popDue(Number.POSITIVE_INFINITY)).toBe(twin.shift()!.item);
    }),
    { numRuns: 200 },
  );
});
