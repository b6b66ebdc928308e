import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockHasher, createPolicy, type Routed, Router } from '../../../src/core/index.ts';

const hasher = new BlockHasher();
const blockSize = 16;
const hash = (isl: number) => ({ isl, hashes: [hasher.hash(new Uint32Array(isl), blockSize)] });

function routerOfOne(): Router {
  const router = new Router({ policy: createPolicy('kv'), seed: 1 });
  const worker = router.addWorker({ id: 'w', blockSize, capacityBlocks: 10_000, source: 'approximate' });
  router.setRoutable(worker, true);
  return router;
}

/** A stream whose tokens arrive at these times. */
function stream(router: Router, timesMs: readonly number[]): void {
  const { bookings } = router.route({ prompts: [hash(20)] }, timesMs[0]! - 1) as Routed;
  for (const ms of timesMs) router.outputTokens(bookings[0]!, 1, ms);
  router.release(bookings[0]!, 'done', timesMs.at(-1)!);
}

describe('the gap between the tokens of a worker', () => {
  it('does not collapse if several tokens arrive in one read', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 5, max: 200 }), (perRead, gapMs) => {
        const router = routerOfOne();
        const times = Array.from({ length: 240 }, (_, i) => {
          const read = Math.floor(i / perRead);
          return 1000 + read * perRead * gapMs + (i % perRead) * 0.0065;
        });
        stream(router, times);
        const { tokenGapMs } = router.load(0);
        expect(tokenGapMs).toBeGreaterThan(gapMs * 0.8);
        expect(tokenGapMs).toBeLessThan(gapMs * 1.3);
      }),
    );
  });

  it('is unknown for a stream that arrives in one read', () => {
    const router = routerOfOne();
    stream(
      router,
      Array.from({ length: 50 }, (_, i) => 1000 + i * 0.0065),
    );
    expect(router.load(0).tokenGapMs).toBe(0);
  });

  it('stays right when a busy gateway reads the tokens of 100 ms in two reads, 1.5 ms apart', () => {
    const router = routerOfOne();
    const times = Array.from({ length: 40 }, (_, burst) =>
      [0, 0.01, 0.02, 1.5, 1.51].map((at) => 1000 + burst * 100 + at),
    ).flat();
    stream(router, times);
    expect(router.load(0).tokenGapMs).toBeGreaterThan(15);
    expect(router.load(0).tokenGapMs).toBeLessThan(25);
  });

  it('grows answers in one piece at the observed gap, not to their limit at once', () => {
    const router = routerOfOne();
    stream(
      router,
      Array.from({ length: 200 }, (_, i) => 1000 + Math.floor(i / 4) * 80 + (i % 4) * 0.0065),
    );
    const { bookings } = router.route(
      { prompts: [hash(16)], wholeAnswer: true, maxOutputTokens: 4000 },
      10_000,
    ) as Routed;
    for (let ms = 10_000; ms <= 12_000; ms += 10) router.advance(ms);
    const blocks = router.load(0).activeBlocks;
    // 2 s at 20 ms a token: 100 tokens, 7 blocks, and the prompt's.
    expect(blocks).toBeGreaterThan(4);
    expect(blocks).toBeLessThan(12);
    router.release(bookings[0]!, 'done', 12_000);
    router.assertConsistent();
  });
});
