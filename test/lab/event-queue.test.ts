// The event queue compared with a sorted list.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EventQueue } from '../../src/lab/event-queue.ts';

it('returns items by time, then by rank, then in order of insertion', () => {
  const operation = fc.oneof(fc.record({ time: fc.nat({ max: 5 }), rank: fc.nat({ max: 3 }) }), fc.constant(null));
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const queue = new EventQueue<number>();
      const list: { time: number; rank: number; item: number }[] = [];
      const popBoth = (): void => {
        expect(queue.nextAt).toBe(list[0]?.time ?? Number.POSITIVE_INFINITY);
        expect(queue.pop()).toBe(list.shift()?.item);
        expect(queue.size).toBe(list.length);
      };
      for (const [item, pushed] of operations.entries()) {
        if (pushed === null) {
          popBoth();
          continue;
        }
        queue.push(pushed.time, pushed.rank, item);
        list.push({ ...pushed, item });
        list.sort((a, b) => a.time - b.time || a.rank - b.rank || a.item - b.item);
      }
      while (list.length > 0) popBoth();
      popBoth();
    }),
  );
});
