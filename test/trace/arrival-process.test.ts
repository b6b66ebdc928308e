import { describe, expect, it } from 'vitest';
import { firstRequests, jitterArrivals, speedUp, withArrivals } from '../../src/trace/arrival-process.ts';
import { spreadOf } from '../../src/trace/statistics.ts';
import { noBlocks, type Workload } from '../../src/trace/workload.ts';

const open = (count: number): Workload => ({
  name: 'test',
  contentBlockTokens: 16,
  blockIdCount: 0,
  requests: Array.from({ length: count }, (_, i) => ({ arrivalMs: 3000 * i, isl: i + 1, osl: 1, blockIds: noBlocks })),
  notes: [],
});

/** Two sessions: the second request waits for the first, the third one is independent. */
const closed: Workload = {
  ...open(0),
  requests: [
    { arrivalMs: 0, isl: 1, osl: 1, blockIds: noBlocks, session: 0 },
    { arrivalMs: 500, isl: 2, osl: 1, blockIds: noBlocks, session: 0, after: { request: 0, thinkMs: 300 } },
    { arrivalMs: 600, isl: 3, osl: 1, blockIds: noBlocks, session: 1 },
    { arrivalMs: 700, isl: 4, osl: 1, blockIds: noBlocks, session: 1 },
  ],
};

const gapsMs = ({ requests }: Workload): number[] =>
  requests.map(({ arrivalMs }, i) => arrivalMs - (requests[i - 1]?.arrivalMs ?? 0));

describe('withArrivals', () => {
  it.each([0.5, 1, 4])('gamma gaps have their rate and a coefficient of variation of %d', (cv) => {
    const { mean, cv: found } = spreadOf(gapsMs(withArrivals(open(20_000), { kind: 'gamma', ratePerS: 8, cv }, 1)));
    expect(Math.abs(mean / 125 - 1)).toBeLessThan((4 * cv) / Math.sqrt(20_000));
    expect(Math.abs(found / cv - 1)).toBeLessThan(0.1);
  });

  it('Poisson gaps have their rate; requests keep their order', () => {
    const { requests, ...rest } = withArrivals(open(10_000), { kind: 'poisson', ratePerS: 8 }, 1);
    expect(Math.abs(spreadOf(gapsMs({ ...rest, requests })).mean / 125 - 1)).toBeLessThan(0.04);
    expect(requests.every(({ isl }, i) => isl === i + 1)).toBe(true);
  });

  it('depends on the seed alone', () => {
    const process = { kind: 'poisson', ratePerS: 1 } as const;
    expect(withArrivals(open(9), process, 4)).toEqual(withArrivals(open(9), process, 4));
    expect(withArrivals(open(9), process, 4)).not.toEqual(withArrivals(open(9), process, 5));
  });

  it('a burst arrives at time 0', () => {
    expect(gapsMs(withArrivals(open(3), { kind: 'all-at-once' }, 1))).toEqual([0, 0, 0]);
  });

  it('a closed loop limits the requests in flight and keeps the order of turns', () => {
    const workload = withArrivals(closed, { kind: 'closed-loop', concurrency: 2 }, 1);
    expect(workload.concurrencyMax).toBe(2);
    const bySize = (isl: number): number => workload.requests.findIndex((request) => request.isl === isl);
    expect(workload.requests[bySize(2)]!.after).toEqual({ request: bySize(1), thinkMs: 300 });
    expect(workload.requests[bySize(4)]!.after).toEqual({ request: bySize(3), thinkMs: 0 });
    expect(workload.requests[bySize(3)]).toMatchObject({ arrivalMs: 0 });
    expect(workload.requests[bySize(3)]!.after).toBeUndefined();
  });

  it('moves the starts of sessions, and their later turns with them', () => {
    const { requests } = withArrivals(closed, { kind: 'poisson', ratePerS: 0.001 }, 1);
    const [first, second] = [1, 2].map((isl) => requests.find((request) => request.isl === isl)!);
    expect(second!.arrivalMs - first!.arrivalMs).toBeCloseTo(500, 6);
    expect(second!.after!.thinkMs).toBe(300);
  });

  it('refuses invalid rates and coefficients', () => {
    expect(() => withArrivals(open(1), { kind: 'gamma', ratePerS: 0, cv: 1 }, 1)).toThrow(/ratePerS/);
    expect(() => withArrivals(open(1), { kind: 'gamma', ratePerS: 1, cv: 0 }, 1)).toThrow(/cv/);
    expect(() => withArrivals(open(1), { kind: 'poisson', ratePerS: Number.NaN }, 1)).toThrow(/ratePerS/);
    expect(() => withArrivals(open(1), { kind: 'closed-loop', concurrency: 0.5 }, 1)).toThrow(/concurrencyMax/);
  });
});

describe('jitterArrivals', () => {
  it('delays every arrival by less than the jitter, evenly', () => {
    const jittered = jitterArrivals(open(4000), 3000, 1);
    const delaysMs = jittered.requests.map(({ arrivalMs, isl }) => arrivalMs - 3000 * (isl - 1));
    expect(Math.min(...delaysMs)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...delaysMs)).toBeLessThan(3000);
    expect(Math.abs(spreadOf(delaysMs).mean - 1500)).toBeLessThan(60);
  });

  it('sorts requests that change places', () => {
    const { requests } = jitterArrivals(open(200), 30_000, 1);
    expect(requests.some(({ isl }, i) => isl !== i + 1)).toBe(true);
  });
});

describe('speedUp', () => {
  it('divides arrivals and think times', () => {
    const { requests } = speedUp(closed, 2);
    expect(requests.map(({ arrivalMs }) => arrivalMs)).toEqual([0, 250, 300, 350]);
    expect(requests[1]!.after).toEqual({ request: 0, thinkMs: 150 });
    expect(() => speedUp(closed, 0)).toThrow(/speed/);
  });
});

describe('firstRequests', () => {
  it('takes the first requests to arrive, or all', () => {
    expect(firstRequests(closed, 2).requests).toHaveLength(2);
    expect(firstRequests(closed, 9)).toBe(closed);
    expect(() => firstRequests(closed, 0)).toThrow(/requests/);
  });
});
