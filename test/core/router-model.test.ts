// The router's ledger equals its naive twin at every moment of any interleaving of requests, removals and restarts.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Booking } from '../../src/core/index.ts';
import { NaiveIndex } from '../model/naive-index.ts';
import { NaiveLedger, type NaiveRequest } from '../model/naive-ledger.ts';
import { announced, promptOf, routerOf } from './router-harness.ts';

const workerCount = 3;

/** Few tokens and short blocks, so that prompts share prefixes, end on block boundaries, or fill no block. */
const tokens = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 13 });
const which = fc.nat(30);

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('book' as const), tokens, sequences: fc.integer({ min: 1, max: 2 }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('first' as const), which }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('output' as const),
      which,
      tokens: fc.integer({ min: 0, max: 9 }),
      sequence: fc.nat(1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('total' as const), which, tokens: fc.integer({ min: 0, max: 9 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('release' as const),
      which,
      outcome: fc.constantFrom('done' as const, 'failed' as const, 'aborted' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('announce' as const), worker: fc.nat(workerCount - 1), tokens }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), worker: fc.nat(workerCount - 1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), worker: fc.nat(workerCount - 1) }) },
);

describe('router against its naive twins', () => {
  for (const blockSize of [1, 2, 4]) {
    it(`block size ${blockSize}`, () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 50 }), fc.boolean(), (steps, inFlightCredit) => {
          const { router, route } = routerOf(workerCount, { blockSize, inFlightCredit });
          const ledger = new NaiveLedger(blockSize);
          const index = new NaiveIndex();
          /** Every booking so far, also ended ones: late calls on them must have no effect. */
          const bookings: Booking[] = [];
          const pick = (n: number): [Booking, NaiveRequest | undefined] | undefined => {
            if (bookings.length === 0) return undefined;
            const booking = bookings[n % bookings.length]!;
            return [booking, ledger.live.get(booking)];
          };
          let nowMs = 0;
          for (const s of steps) {
            // Beyond the life of a lingering promise, so that overlaps follow from ledger and index alone.
            nowMs += 10_000;
            switch (s.kind) {
              case 'book': {
                const routed = route(s.tokens, { sequences: s.sequences }, nowMs);
                for (const cost of routed.decision.candidates()) {
                  const promised = inFlightCredit ? ledger.promisedBlocks(cost.worker, s.tokens) : 0;
                  const overlap = index.overlap(cost.worker, s.tokens, blockSize, promised);
                  const tail = s.tokens.length % blockSize === 0 ? 0 : s.sequences - 1;
                  expect(cost).toMatchObject({
                    overlapBlocks: overlap,
                    promisedBlocks: promised,
                    overlapTokens: Math.min(overlap, Math.ceil(s.tokens.length / blockSize) - 1) * blockSize,
                    activeBlocks: ledger.activeBlocks(cost.worker),
                    activePrefillTokens: ledger.activePrefillTokens(cost.worker),
                    runningRequests: ledger.runningRequests(cost.worker),
                    newBlocks: ledger.newBlocks(cost.worker, s.tokens) + tail,
                  });
                }
                bookings.push(...routed.bookings);
                ledger.live.set(routed.bookings[0]!, {
                  worker: routed.decision.worker,
                  tokens: s.tokens,
                  prefillTokens: routed.decision.uncachedTokens,
                  outputs: new Array<number>(s.sequences).fill(0),
                });
                break;
              }
              case 'first': {
                const [booking, twin] = pick(s.which) ?? [];
                if (booking === undefined) break;
                router.firstToken(booking, nowMs);
                if (twin) twin.prefillTokens = 0;
                break;
              }
              case 'output': {
                const [booking, twin] = pick(s.which) ?? [];
                if (booking === undefined) break;
                const sequence = twin ? s.sequence % twin.outputs.length : s.sequence;
                router.outputTokens(booking, s.tokens, nowMs, sequence);
                if (twin) {
                  twin.prefillTokens = 0;
                  twin.outputs[sequence]! += s.tokens;
                }
                break;
              }
              case 'total': {
                const [booking, twin] = pick(s.which) ?? [];
                if (booking === undefined) break;
                router.setOutputTokens(booking, s.tokens);
                if (twin) twin.outputs[0] = s.tokens;
                break;
              }
              case 'release': {
                const [booking] = pick(s.which) ?? [];
                if (booking === undefined) break;
                router.release(booking, s.outcome, nowMs);
                ledger.live.delete(booking);
                break;
              }
              case 'announce': {
                const event = announced(s.tokens, blockSize);
                router.applyKvEvent(s.worker, event, nowMs);
                index.apply(s.worker, event);
                break;
              }
              case 'restart': {
                const { incarnation } = router.load(s.worker);
                router.removeWorker(s.worker);
                const again = router.addWorker({
                  id: `w${s.worker}`,
                  blockSize,
                  capacityBlocks: 1000,
                  source: 'events',
                });
                expect(again).toBe(s.worker);
                expect(router.load(again).incarnation).toBe(incarnation + 1);
                index.drop(s.worker);
                for (const [booking, twin] of ledger.live) if (twin.worker === s.worker) ledger.live.delete(booking);
                break;
              }
              case 'drop':
                router.dropBlocks(s.worker);
                index.drop(s.worker);
                break;
            }
            for (let worker = 0; worker < workerCount; worker++) {
              expect(router.load(worker)).toMatchObject({
                activeBlocks: ledger.activeBlocks(worker),
                activePrefillTokens: ledger.activePrefillTokens(worker),
                runningRequests: ledger.runningRequests(worker),
                heldBlocks: index.heldBlocks(worker),
              });
            }
            router.assertConsistent();
          }
          for (const booking of bookings) router.release(booking, 'failed', nowMs);
          for (const load of router.loads()) {
            expect(load).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
          }
          expect(router.liveBookings).toBe(0);
          router.assertConsistent();
        }),
        { numRuns: 300 },
      );
    });
  }

  it('counts the page of the last token as computed, not the whole coarser block', () => {
    const { router } = routerOf(1, { blockSize: 8 });
    router.addWorker({ id: 'fine', blockSize: 8, pageSize: 2, capacityBlocks: 100, source: 'events' });
    const prompt = Array.from({ length: 16 }, (_, i) => i);
    router.applyKvEvent(0, announced(prompt, 8), 0);
    router.applyKvEvent(1, announced(prompt, 2), 0);
    const routed = router.route({ prompts: [promptOf(prompt, 8)] }, 0);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    const terms = routed.decision
      .candidates()
      .map((cost) => [cost.overlapBlocks, cost.overlapTokens, cost.uncachedTokens]);
    expect(terms).toEqual([
      [2, 8, 8],
      [2, 14, 2],
    ]);
  });

  it('hashes a prompt once for each block size of a mixed pool', () => {
    const { router } = routerOf(1, { blockSize: 4 });
    router.addWorker({ id: 'fine', blockSize: 1, capacityBlocks: 100, source: 'events' });
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    router.applyKvEvent(0, announced(prompt, 4), 0);
    router.applyKvEvent(1, announced(prompt.slice(0, 7), 1), 0);
    const routed = router.route({ prompts: [promptOf(prompt, ...router.blockSizes())] }, 0);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    expect(routed.decision.candidates().map((cost) => [cost.overlapTokens, cost.newBlocks])).toEqual([
      [8, 3],
      [7, 9],
    ]);
    expect(() => router.route({ prompts: [promptOf(prompt, 4)] }, 0)).toThrow('block size 1');
  });
});
