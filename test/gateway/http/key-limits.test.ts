import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';
import { KeyLimits } from '../../../src/gateway/http/key-limits.ts';

describe('limits of a key', () => {
  const none = {
    inFlightPerKeyMax: 0,
    requestsPerMinutePerKeyMax: 0,
    tokensPerMinutePerKeyMax: 0,
    countCachedTokens: true,
  };

  it('cap concurrent requests, and free a slot as soon as a request ends in any way', async () => {
    const step = fc.constantFrom<'arrives' | 'ends' | 'fails'>('arrives', 'ends', 'fails');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), async (max, steps) => {
        const limits = new KeyLimits();
        const settings = { ...none, inFlightPerKeyMax: max };
        const open: { readonly end: () => void; readonly fail: () => void; readonly done: Promise<unknown> }[] = [];
        for (const next of steps) {
          if (next !== 'arrives') {
            const oldest = open.shift();
            if (next === 'ends') oldest?.end();
            else oldest?.fail();
            await oldest?.done;
            continue;
          }
          let end = (): void => undefined;
          let fail = end;
          const work = new Promise<void>((resolve, reject) => {
            end = resolve;
            fail = () => reject('failed');
          });
          const done = limits.within(null, settings, 0, () => work);
          if (open.length < max) {
            const settled = done.catch((error: unknown) => expect(error).toBe('failed'));
            open.push({ end, fail, done: settled });
          } else await expect(done).rejects.toThrow(LimitReached);
        }
        expect(open.length).toBeLessThanOrEqual(max);
      }),
    );
  });

  it('free the slot of a request whose work throws before it returns a promise', async () => {
    const limits = new KeyLimits();
    const settings = { ...none, inFlightPerKeyMax: 1 };
    const throwing = (): never => {
      throw new Error('a fault inside');
    };
    await expect(limits.within(null, settings, 0, throwing)).rejects.toThrow('a fault inside');
    await expect(limits.within(null, settings, 0, () => 'served')).resolves.toBe('served');
  });

  it('have room after Retry-After', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 80 }),
        async (max, gapsMs) => {
          const limits = new KeyLimits();
          const settings = { ...none, requestsPerMinutePerKeyMax: max };
          let nowMs = 0;
          const admitted: number[] = [];
          for (const gapMs of gapsMs) {
            nowMs += gapMs;
            try {
              await limits.within(null, settings, nowMs, () => undefined);
              admitted.push(nowMs);
            } catch (error) {
              if (!(error instanceof LimitReached)) throw error;
              expect(error.retryAfterS).toBeGreaterThanOrEqual(1);
              expect(error.retryAfterS).toBeLessThanOrEqual(120);
              nowMs += error.retryAfterS! * 1000;
              await limits.within(null, settings, nowMs, () => undefined);
              admitted.push(nowMs);
            }
          }
          // Exact for clock minutes; for any 60 s up to the error of assuming an even spread in the previous minute.
          for (const startMs of admitted) {
            const minute = Math.floor(startMs / 60_000);
            expect(admitted.filter((atMs) => Math.floor(atMs / 60_000) === minute).length).toBeLessThanOrEqual(max);
          }
        },
      ),
    );
  });

  it('have room in the very moment that Retry-After names', async () => {
    const limits = new KeyLimits();
    const settings = { ...none, requestsPerMinutePerKeyMax: 3 };
    for (const nowMs of [0, 0, 0]) await limits.within(null, settings, nowMs, () => undefined);
    await expect(limits.within(null, settings, 1000, () => undefined)).rejects.toMatchObject({ retryAfterS: 79 });
    // A third of the minute has passed, 1 - 2 / 3 of it by rounding a little more.
    await expect(limits.within(null, settings, 80_000, () => 'served')).resolves.toBe('served');
  });

  it("of one key do not affect another, and a key's own override the general ones", async () => {
    const limits = new KeyLimits();
    const key = (name: string, inFlightMax: number | null) => ({
      name,
      hash: '',
      models: null,
      inFlightMax,
      requestsPerMinuteMax: null,
      tokensPerMinuteMax: null,
      ofTenant: null,
      priorities: null,
      routing: false,
      selection: false,
    });
    const settings = { ...none, inFlightPerKeyMax: 1 };
    // Requests that do not end.
    const admit = async (by: ReturnType<typeof key>): Promise<string> => {
      const work = new Promise<string>(() => undefined);
      return Promise.race([limits.within(by, settings, 0, () => work), Promise.resolve().then(() => 'admitted')]);
    };
    expect(await admit(key('a', null))).toBe('admitted');
    await expect(admit(key('a', null))).rejects.toThrow(/limit of 1 requests at a time/);
    expect(await admit(key('b', null))).toBe('admitted');
    for (let i = 0; i < 3; i++) expect(await admit(key('c', 3))).toBe('admitted');
    await expect(admit(key('c', 3))).rejects.toThrow(LimitReached);
    for (let i = 0; i < 10; i++) expect(await admit(key('d', 0))).toBe('admitted');
  });
});
