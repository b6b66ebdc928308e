// Tenant reserve: compared with its naive twin, and what it promises: nothing with one tenant, a share for a burst, an end.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reserveNumbers, TenantReserve } from '../../../src/core/admission/tenant-reserve.ts';
import type { BookingHolder } from '../../../src/core/ledger/active-blocks.ts';
import type { PoolRoom } from '../../../src/core/ledger/worker-table.ts';
import { NaiveReserve } from '../../model/naive-reserve.ts';
import { type AdmissionHarness, applicant, harnessOf } from './admission-harness.ts';

const keepMs = 2000;
const tenants = ['a', 'b', 'c', 'd'] as const;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('arrive' as const),
      tenant: fc.constantFrom(...tenants),
      weight: fc.constantFrom(1, 1, 1, 3),
      priority: fc.constantFrom(0, 0, 0, 1, -1),
      tokens: fc.constantFrom(100, 2000, 50_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('place' as const), pick: fc.nat(1000), ms: fc.constantFrom(1, 30, 700) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), pick: fc.nat(1000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), pick: fc.nat(1000) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('ask' as const),
      tenant: fc.constantFrom(...tenants),
      priority: fc.constantFrom(0, 0, 1, -1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(7, 60, 130, 3000) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('workers' as const),
      workers: fc.integer({ min: 0, max: 9 }),
      routers: fc.constantFrom(1, 1, 2, 3, 2.5),
    }),
  },
);

interface Waiting {
  readonly tenant: string;
  readonly tokens: number;
  readonly workMs: number;
  readonly arrival: number;
}

describe('TenantReserve', () => {
  it('equals its naive twin, and always leaves a burst a worker', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let [workers, routers] = [8, 1];
        const room = (): PoolRoom => ({ workers, tokens: 20_000 * workers, requests: 2 * workers, routers });
        let nowMs = 0;
        const reserve = new TenantReserve(keepMs, room);
        const twin = new NaiveReserve(reserveNumbers, keepMs, room);
        const waiting: Waiting[] = [];
        const inFlight: (Waiting & { readonly holder: BookingHolder })[] = [];
        const take = <T>(from: T[], pick: number): T | undefined =>
          from.length === 0 ? undefined : from.splice(pick % from.length, 1)[0];
        for (const one of steps) {
          switch (one.kind) {
            case 'arrive': {
              const { tenant, weight, priority, tokens } = one;
              const workMs = reserve.arrived(tenant, weight, priority, tokens, nowMs);
              waiting.push({ tenant, tokens, workMs, arrival: twin.arrived(tenant, weight, priority, tokens, nowMs) });
              break;
            }
            case 'place': {
              const placed = take(waiting, one.pick);
              if (placed === undefined) break;
              reserve.placed(placed.tenant, placed.tokens, placed.workMs, one.ms, nowMs);
              twin.placed(placed.tenant, placed.arrival, one.ms, nowMs);
              inFlight.push({ ...placed, holder: reserve.holderOf(placed.tenant, placed.tokens) });
              break;
            }
            case 'end': {
              const ended = take(inFlight, one.pick);
              if (ended === undefined) break;
              ended.holder.bookingEnded();
              twin.ended(ended.tenant, ended.arrival, nowMs);
              break;
            }
            case 'withdraw': {
              const gone = take(waiting, one.pick);
              if (gone === undefined) break;
              reserve.withdrawn(gone.tenant, gone.workMs);
              twin.withdrawn(gone.tenant, gone.arrival, nowMs);
              break;
            }
            case 'ask': {
              const kept = reserve.keptFrom(one.tenant, one.priority, nowMs);
              expect(kept).toBe(twin.keptFrom(one.tenant, one.priority, nowMs));
              expect(kept).toBeGreaterThanOrEqual(0);
              break;
            }
            case 'wait':
              nowMs += one.ms;
              break;
            case 'workers':
              ({ workers, routers } = one);
              break;
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  /** @returns one of whom `calm` asked for a little, and `burst` for a lot */
  function withBurst(workers: number, calmPriority = 0, weights = { calm: 1, burst: 1 }, routers = 1) {
    const [tokens, requests] = [100_000 * workers, 10 * workers];
    const reserve = new TenantReserve(keepMs, () => ({ workers, tokens, requests, routers }));
    const calm = (nowMs: number, ms = 50): void => {
      const workMs = reserve.arrived('calm', weights.calm, calmPriority, 500, nowMs);
      reserve.placed('calm', 500, workMs, ms, nowMs);
    };
    const burst = (nowMs: number): number[] =>
      Array.from({ length: 100 }, () => reserve.arrived('burst', weights.burst, 0, 5000, nowMs));
    return { reserve, calm, burst };
  }

  it('takes its own requests for an equal part of those of all routers', () => {
    for (const [routers, kept] of [
      [1, 1],
      [2, 2],
      [3, 2],
      [20, 4],
    ] as const) {
      const { reserve, calm, burst } = withBurst(8, 0, undefined, routers);
      // Over half a minute 0.19 workers; the average has 0.12, which need 0.6 free ones at each router.
      for (let ms = 0; ms < 30_000; ms += 300) calm(ms, 57);
      burst(30_000);
      expect([routers, reserve.keptFrom('burst', 0, 30_000)]).toEqual([routers, kept]);
      expect(reserve.keptFrom('calm', 0, 30_000)).toBe(0);
    }
    // Four requests per worker of its part may wait.
    const { reserve, calm } = withBurst(8, 0, undefined, 4);
    calm(0);
    const arrive = (): number => reserve.arrived('burst', 1, 0, 1, 0);
    for (let count = 0; count < 4; count++) arrive();
    expect(reserve.keptFrom('burst', 0, 0)).toBe(0);
    arrive();
    expect(reserve.keptFrom('burst', 0, 0)).toBeGreaterThan(0);
  });

  it('keeps nothing free while only one tenant is there, nor for one that is gone', () => {
    const { reserve, calm, burst } = withBurst(8);
    burst(0);
    expect(reserve.keptFrom('burst', 0, 0)).toBe(0);
    calm(1000);
    expect([reserve.keptFrom('burst', 0, 1100), reserve.kept(1100)]).toEqual([1, 1]);
    expect(reserve.keptFrom('burst', 0, 1000 + keepMs + 200)).toBe(0);
  });

  it('keeps nothing free from a tenant within its share, and again nothing once a burst has been paid off', () => {
    const { reserve, calm, burst } = withBurst(8);
    calm(0);
    const waiting = burst(0);
    expect([reserve.keptFrom('calm', 0, 0), reserve.keptFrom('burst', 0, 0)]).toEqual([0, 1]);
    for (const workMs of waiting) reserve.placed('burst', 5000, workMs, 300, 10);
    expect(reserve.keptFrom('burst', 0, 10)).toBe(1);
    for (let nowMs = 500; nowMs <= 9500; nowMs += 500) calm(nowMs);
    expect(reserve.keptFrom('burst', 0, 9500)).toBe(0);
  });

  it('keeps workers free from a tenant whose requests in flight have more than its share of the room', () => {
    const { reserve, calm } = withBurst(8);
    calm(0);
    const kept = (): number => reserve.keptFrom('burst', 0, 1000);
    const place = (tokens: number): BookingHolder => {
      reserve.placed('burst', tokens, reserve.arrived('burst', 1, 0, tokens, 0), 1, 0);
      return reserve.holderOf('burst', tokens);
    };
    const small = Array.from({ length: 40 }, () => place(100));
    expect(kept()).toBe(0);
    small.push(place(100));
    expect(kept()).toBe(1);
    for (const one of small) one.bookingEnded();
    expect(kept()).toBe(0);
    const large = [place(399_999), place(1)];
    expect(kept()).toBe(0);
    place(1);
    expect(kept()).toBe(1);
    for (const one of large) one.bookingEnded();
    expect(kept()).toBe(0);
  });

  it('keeps more free the more the others ask for, but leaves a burst its share', () => {
    const kept = (weights: { calm: number; burst: number }): number => {
      const { reserve, calm, burst } = withBurst(8, 0, weights);
      for (let nowMs = 0; nowMs < 60_000; nowMs += 100) calm(nowMs, 60);
      burst(60_000);
      return reserve.keptFrom('burst', 0, 60_100);
    };
    // Averaged, 0.52 workers are busy: at 20 % these are 3.
    expect(kept({ calm: 1, burst: 1 })).toBe(3);
    expect(kept({ calm: 1, burst: 3 })).toBe(2);
    expect(kept({ calm: 1, burst: 7 })).toBe(1);
    expect(kept({ calm: 1, burst: 8 })).toBe(0);
  });

  it('keeps nothing free for requests of lower priority than the burst', () => {
    const kept = (calmPriority: number): number => {
      const { reserve, calm, burst } = withBurst(8, calmPriority);
      calm(0);
      burst(0);
      return reserve.keptFrom('burst', 0, 100);
    };
    expect([kept(-1), kept(0), kept(1)]).toEqual([1, 1, 0]);
  });

  it('keeps nothing free where there is one worker, or none', () => {
    for (const workers of [0, 1]) {
      const { reserve, calm, burst } = withBurst(workers);
      calm(0);
      burst(0);
      expect(reserve.keptFrom('burst', 0, 100)).toBe(0);
    }
  });
});

describe('a burst in the admission queue', () => {
  const workers = Array.from({ length: 4 }, () => ({ capacityBlocks: 1000, runningRequestsMax: 4 }));
  const calm = (name: number) => ({ ...applicant(name, 1), tenant: 'calm' });

  function withBurst(tenantReserveMs: number): AdmissionHarness {
    const harness = harnessOf(workers, 100, undefined, tenantReserveMs);
    harness.enter(calm(0));
    harness.release(0);
    for (let name = 1; name <= 60; name++) {
      harness.enter({ ...applicant(name, 10), tenant: 'burst' });
      harness.drain();
    }
    return harness;
  }

  it('leaves a worker for another tenant, whose requests are placed although none of the burst ends', () => {
    const harness = withBurst(30_000);
    expect(harness.admission.keptWorkers(0)).toBe(1);
    expect(harness.live.size).toBeLessThan(16);
    for (let name = 100; name < 105; name++) {
      expect(harness.enter(calm(name))).toBe('waiting');
      expect(harness.drain().map(([placed]) => placed)).toEqual([name]);
      harness.release(name);
      expect(harness.drain()).toEqual([]);
    }
    while (harness.live.size > 0) {
      for (const name of [...harness.live.keys()]) harness.release(name);
      harness.drain();
    }
    expect([harness.admission.waiting, harness.admission.keptWorkers(0)]).toEqual([0, 0]);
  });

  it('fills all workers without a reserve', () => {
    const harness = withBurst(0);
    expect([harness.live.size, harness.admission.keptWorkers(0)]).toEqual([16, 0]);
    expect([harness.enter(calm(100)), harness.drain()]).toEqual(['waiting', []]);
  });
});
