import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { ReservationMemory } from '../../../src/gateway/selection/reservation-memory.ts';

const keys = [null, 'a', 'b', 'c'] as const;

const step = fc.oneof(
  fc.record({
    kind: fc.constant('take' as const),
    key: fc.constantFrom(...keys),
    bytes: fc.integer({ min: 1, max: 1200 }),
  }),
  fc.record({ kind: fc.constant('free' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('limit' as const), bytesMax: fc.integer({ min: 1, max: 3000 }) }),
);

interface Held {
  readonly key: string | null;
  readonly bytes: number;
  free(): void;
}

/** Why it is refused, from the list of everything that is held. */
function refusal(held: readonly Held[], key: string | null, bytes: number, bytesMax: number): number | null {
  const sum = (which: (one: Held) => boolean): number =>
    held.filter(which).reduce((total, one) => total + one.bytes, 0);
  const fits = (own: number, left: number): boolean =>
    key === null ? own <= left : own <= (Math.max(0, left) * 2) / 3;
  if (!fits(bytes, bytesMax)) return 413;
  const own = sum((one) => one.key === key) + bytes;
  return fits(own, bytesMax - sum((one) => one.key !== key)) ? null : 429;
}

describe('the memory of reservations', () => {
  it('equals a list of what is held, after any takes, frees and changes of the limit', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let bytesMax = 2000;
        const memory = new ReservationMemory(() => bytesMax);
        const held: Held[] = [];
        const freed: Held[] = [];
        for (const one of steps) {
          if (one.kind === 'limit') bytesMax = one.bytesMax;
          else if (one.kind === 'free') {
            for (const gone of held.splice(held.length === 0 ? 0 : one.which % held.length, 1)) {
              gone.free();
              freed.push(gone);
            }
            // Only the first call counts.
            freed.at(-1)?.free();
          } else {
            const expected = refusal(held, one.key, one.bytes, bytesMax);
            let status: number | null = null;
            try {
              held.push({ ...one, free: memory.take(one.key, one.bytes) });
            } catch (error) {
              expect(error).toBeInstanceOf(LimitReached);
              status = (error as LimitReached).status;
            }
            expect(status).toBe(expected);
          }
          expect(memory.heldBytes).toBe(held.reduce((sum, { bytes }) => sum + bytes, 0));
        }
        for (const one of held) one.free();
        expect(memory.heldBytes).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves room to a key whatever another one takes', () => {
    const memory = new ReservationMemory(() => 1000);
    const flood = (key: string): number => {
      for (let count = 0; ; count++) {
        try {
          memory.take(key, 1);
        } catch {
          return count;
        }
      }
    };
    expect(flood('a')).toBe(666);
    expect(flood('b')).toBe(222);
    expect(flood('c')).toBe(74);
  });
});
