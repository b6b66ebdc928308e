import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { KeyLimits } from '../../../src/gateway/http/key-limits.ts';

describe('limits of a key', () => {
  const none = { inFlightPerKeyMax: 0, requestsPerMinutePerKeyMax: 0 };

  it('never let more requests in at a time than set, and let the next in as soon as one ends', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.boolean(), { maxLength: 60 }), (max, steps) => {
        const limits = new KeyLimits();
        const releases: (() => void)[] = [];
        for (const arrives of steps) {
          if (!arrives) {
            releases.shift()?.();
            continue;
          }
          const admit = (): void => {
            releases.push(limits.admit(null, { ...none, inFlightPerKeyMax: max }, 0));
          };
          if (releases.length < max) admit();
          else expect(admit).toThrow(LimitReached);
        }
        expect(releases.length).toBeLessThanOrEqual(max);
      }),
    );
  });

  it('let in what was promised: after Retry-After there is room', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 80 }),
        (max, gapsMs) => {
          const limits = new KeyLimits();
          const settings = { ...none, requestsPerMinutePerKeyMax: max };
          let nowMs = 0;
          const admitted: number[] = [];
          for (const gapMs of gapsMs) {
            nowMs += gapMs;
            try {
              limits.admit(null, settings, nowMs)();
              admitted.push(nowMs);
            } catch (error) {
              if (!(error instanceof LimitReached)) throw error;
              expect(error.retryAfterS).toBeGreaterThanOrEqual(1);
              expect(error.retryAfterS).toBeLessThanOrEqual(120);
              nowMs += error.retryAfterS! * 1000;
              limits.admit(null, settings, nowMs)();
              admitted.push(nowMs);
            }
          }
          // Of any clock minute, exactly; of any 60 s, up to what an even spread of the minute before hides.
          for (const startMs of admitted) {
            const minute = Math.floor(startMs / 60_000);
            expect(admitted.filter((atMs) => Math.floor(atMs / 60_000) === minute).length).toBeLessThanOrEqual(max);
          }
        },
      ),
    );
  });

  it('of one key do not count for another, and its own come before those of all', () => {
    const limits = new KeyLimits();
    const key = (name: string, inFlightMax: number | null) => ({
      name,
      hash: '',
      models: null,
      inFlightMax,
      requestsPerMinuteMax: null,
      priorities: null,
      routing: false,
    });
    const settings = { ...none, inFlightPerKeyMax: 1 };
    limits.admit(key('a', null), settings, 0);
    expect(() => limits.admit(key('a', null), settings, 0)).toThrow(/limit of 1 requests at a time/);
    limits.admit(key('b', null), settings, 0);
    for (let i = 0; i < 3; i++) limits.admit(key('c', 3), settings, 0);
    expect(() => limits.admit(key('c', 3), settings, 0)).toThrow(LimitReached);
    for (let i = 0; i < 10; i++) limits.admit(key('d', 0), settings, 0);
  });
});
