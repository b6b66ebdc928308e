import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher, createPolicy, type Policy, type Routed, Router } from '../../../src/core/index.ts';
import { BookingLease } from '../../../src/gateway/pools/booking-lease.ts';

const hasher = new BlockHasher();
const blockSize = 4;

function place(
  promptTokens: readonly number[],
  sequences: number,
  policy: Policy = createPolicy('kv'),
): { router: Router; lease: BookingLease; inFlight: () => number } {
  const router = new Router({ policy, seed: 1 });
  const worker = router.addWorker({ id: 'w', blockSize, capacityBlocks: 100, source: 'approximate' });
  router.setRoutable(worker, true);
  const prompts = promptTokens.map((isl, prompt) => {
    const tokens = Uint32Array.from({ length: isl }, (_, i) => prompt * 1000 + i);
    return { isl, hashes: [hasher.hash(tokens, blockSize)] };
  });
  const routed = router.route({ prompts, sequences }, 0) as Routed;
  let inFlight = 0;
  const engine = {
    enter: () => {
      inFlight += 1;
      return () => {
        inFlight -= 1;
      };
    },
  };
  return { router, lease: new BookingLease(router, routed, sequences, engine), inFlight: () => inFlight };
}

describe('BookingLease', () => {
  it('finds the prompt and the sequence of a choice', () => {
    const { router, lease } = place([8, 8], 2);
    const load = () => router.load(0);
    expect(load()).toMatchObject({ activePrefillTokens: 16, runningRequests: 2 });
    lease.tokens(3, 1, 10);
    expect(load().activePrefillTokens).toBe(8);
    const before = load().activeBlocks;
    lease.tokens(2, 4, 11);
    lease.tokens(3, 4, 12);
    expect(load().activeBlocks).toBeGreaterThan(before);
    expect(load().activePrefillTokens).toBe(8);
    lease.tokens(1, 1, 13);
    expect(load().activePrefillTokens).toBe(0);
    lease.release('done', 20);
    router.assertConsistent();
  });

  it('releases the bookings if the lease cannot be made, or if leaving the engine throws', () => {
    const { router } = place([8], 1);
    const free = router.load(0);
    const routed = (): Routed => {
      const tokens = Uint32Array.from({ length: 8 }, (_, i) => 9000 + i);
      return router.route({ prompts: [{ isl: 8, hashes: [hasher.hash(tokens, blockSize)] }] }, 0) as Routed;
    };
    const fails = (): never => {
      throw new Error('injected');
    };
    expect(() => BookingLease.take(router, routed(), 1, { enter: fails })).toThrow('injected');
    expect(router.load(0)).toEqual(free);
    const lease = BookingLease.take(router, routed(), 1, { enter: () => fails });
    expect(router.load(0)).not.toEqual(free);
    expect(() => lease.release('failed', 1)).toThrow('injected');
    expect(router.load(0)).toEqual(free);
  });

  it('releases the rest if one of the releases throws', () => {
    let released = 0;
    const policy: Policy = {
      ...createPolicy('kv'),
      onReleased: () => {
        released += 1;
        if (released === 1) throw new Error('injected');
      },
    };
    const { router, lease, inFlight } = place([8, 9, 10], 2, policy);
    expect(() => lease.release('done', 1)).toThrow('injected');
    expect(released).toBe(3);
    expect(inFlight()).toBe(0);
    expect(router.load(0)).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
    router.assertConsistent();
    lease.release('done', 2);
    expect(released).toBe(3);
  });

  it('leaves nothing booked if the policy throws on a booking', () => {
    const policy: Policy = {
      ...createPolicy('kv'),
      onBooked: (_state, { isl }) => {
        if (isl === 9) throw new Error('injected');
      },
    };
    const router = new Router({ policy, seed: 1 });
    router.setRoutable(router.addWorker({ id: 'w', blockSize, capacityBlocks: 100, source: 'approximate' }), true);
    const prompts = [8, 9].map((isl) => ({ isl, hashes: [hasher.hash(new Uint32Array(isl), blockSize)] }));
    expect(() => router.route({ prompts }, 0)).toThrow('injected');
    expect(router.liveBookings).toBe(0);
    router.assertConsistent();
  });

  it('releases everything once, whatever calls come in whatever order', () => {
    const call = fc.oneof(
      fc.record({ kind: fc.constant('tokens' as const), choice: fc.nat(9), count: fc.nat(9) }),
      fc.record({ kind: fc.constant('total' as const), count: fc.nat(50) }),
      fc.record({ kind: fc.constant('release' as const), outcome: fc.constantFrom('done', 'failed', 'aborted') }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(call, { maxLength: 30 }),
        (promptTokens, sequences, calls) => {
          const { router, lease, inFlight } = place(promptTokens, sequences);
          expect(inFlight()).toBe(1);
          for (const [i, step] of calls.entries()) {
            if (step.kind === 'tokens') lease.tokens(step.choice, step.count, i);
            else if (step.kind === 'total') lease.totalTokens(step.count);
            else lease.release(step.outcome, i);
            router.assertConsistent();
          }
          lease.release('done', 100);
          lease.release('done', 101);
          expect(inFlight()).toBe(0);
          expect(router.load(0)).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
          expect(router.counters()).toMatchObject({ released: promptTokens.length, stale: 0 });
        },
      ),
    );
  });
});
