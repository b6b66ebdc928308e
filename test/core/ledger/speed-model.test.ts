// The speed model learns workers of any speed and shape from the router's observations.

import { describe, expect, it } from 'vitest';
import { BlockHasher, createPolicy, Random, type Routed, Router } from '../../../src/core/index.ts';

const hasher = new BlockHasher();
const blockSize = 16;

/** Time of a prefill on worker w at a time; u uncached tokens, as the router knows them. */
type PrefillMs = (u: number, worker: number, nowMs: number) => number;

interface Fleet {
  readonly router: Router;
  /** |predicted - actual| / actual TTFT, request by request. */
  readonly errors: number[];
  /** Requests of each worker. */
  readonly sent: number[];
  nowMs: number;
  /** Sends `count` requests of different prompts, `gapMs` apart. */
  send(count: number, gapMs: number): void;
}

/** Workers that compute prompts one after the other and answer with `outputTokens`, `perRead` tokens a read. */
function fleetOf(
  workers: number,
  prefillMs: PrefillMs,
  options: { wholeAnswers?: boolean; perRead?: number } = {},
): Fleet {
  const { wholeAnswers = false, perRead = 1 } = options;
  const router = new Router({ policy: createPolicy('foresee'), seed: 1, hasher });
  for (let w = 0; w < workers; w++) {
    router.addWorker({ id: `w${w}`, blockSize, capacityBlocks: 10_000, source: 'approximate' });
  }
  const random = new Random(7);
  const freeMs = new Array<number>(workers).fill(0);
  const outputTokens = 24;
  const tokenGapMs = 20;
  const due: { ms: number; order: number; run: (ms: number) => void }[] = [];
  let order = 0;
  const at = (ms: number, run: (ms: number) => void): void => {
    due.push({ ms, order: order++, run });
    due.sort((a, b) => a.ms - b.ms || a.order - b.order);
  };
  const fleet: Fleet = {
    router,
    errors: [],
    sent: new Array<number>(workers).fill(0),
    nowMs: 0,
    send(count, gapMs) {
      for (let i = 0; i < count; i++) {
        fleet.nowMs += gapMs * (0.5 + random.float());
        while (due.length > 0 && due[0]!.ms <= fleet.nowMs) {
          const one = due.shift()!;
          one.run(one.ms);
        }
        const isl = 200 + random.below(6000);
        const tokens = Uint32Array.from({ length: isl }, () => random.below(50_000));
        const request = { prompts: [{ isl, hashes: [hasher.hash(tokens, blockSize)] }], wholeAnswer: wholeAnswers };
        const { decision, bookings } = router.route(request, fleet.nowMs) as Routed;
        const { worker } = decision;
        fleet.sent[worker]!++;
        const ms = prefillMs(isl, worker, fleet.nowMs);
        freeMs[worker] = Math.max(freeMs[worker]!, fleet.nowMs) + ms;
        const firstMs = freeMs[worker];
        const booking = bookings[0]!;
        const routedMs = fleet.nowMs;
        at(firstMs, (nowMs) => {
          const actualMs = firstMs - routedMs;
          fleet.errors.push(Math.abs((decision.predictedTtftMs ?? 0) - actualMs) / actualMs);
          if (!wholeAnswers) router.firstToken(booking, nowMs);
        });
        if (!wholeAnswers) {
          for (let k = perRead; k < outputTokens; k += perRead) {
            at(firstMs + k * tokenGapMs, (nowMs) => router.outputTokens(booking, perRead, nowMs));
          }
        }
        at(firstMs + outputTokens * tokenGapMs, (nowMs) => {
          router.setOutputTokens(booking, outputTokens);
          router.release(booking, 'done', nowMs);
        });
      }
    },
  };
  return fleet;
}

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;
const lastErrors = ({ errors }: Fleet): number => mean(errors.slice(-100));

describe('the speed model', () => {
  // The prior is 0.5 ms a token: four times too slow, four times too fast, and other shapes.
  it.each<[string, PrefillMs]>([
    ['four times as fast as assumed', (u) => 20 + 0.125 * u],
    ['four times as slow', (u) => 20 + 2 * u],
    ['quadratic in the prompt', (u) => 30 + 0.05 * u + 2e-5 * u * u],
    ['concave in the prompt', (u) => 20 + 9 * u ** 0.6],
  ])('forgets its prior within 200 completions: prefill %s', (_name, prefillMs) => {
    const fleet = fleetOf(4, prefillMs);
    fleet.send(300, prefillMs(3200, 0, 0) / 3);
    expect(fleet.errors.length).toBeGreaterThan(200);
    expect(lastErrors(fleet)).toBeLessThan(0.15);
  });

  it.each([1, 3, 8])('measures token gaps if %i tokens arrive per read', (perRead) => {
    const fleet = fleetOf(2, (u) => 20 + 0.1 * u, { perRead });
    fleet.send(100, 250);
    expect(fleet.router.load(0).tokenGapMs).toBeGreaterThan(16);
    expect(fleet.router.load(0).tokenGapMs).toBeLessThan(25);
    expect(Math.abs(fleet.router.speedOf(0, fleet.nowMs).slowness - 1)).toBeLessThan(0.3);
  });

  it('learns from non-streaming answers', () => {
    const fleet = fleetOf(4, (u) => 20 + 0.125 * u, { wholeAnswers: true });
    fleet.send(400, 200);
    // No first token is seen, so its time is estimated; the prior alone would have an error of 3.
    expect(lastErrors(fleet)).toBeLessThan(0.35);
  });

  it('notices within 5 s that a worker is ten times slower, keeps sampling it, and notices its recovery', () => {
    let slow = 1;
    const fleet = fleetOf(4, (u, worker) => (worker === 2 ? slow : 1) * (20 + 0.1 * u));
    fleet.send(200, 150);
    expect(fleet.sent[2]).toBeGreaterThan(25);
    slow = 10;
    fleet.send(33, 150); // 5 s
    expect(fleet.router.speedOf(2, fleet.nowMs).slowness).toBeGreaterThan(3);
    const before = fleet.sent[2]!;
    fleet.send(400, 150); // 60 s
    const trickle = fleet.sent[2]! - before;
    expect(trickle).toBeGreaterThan(1);
    expect(trickle).toBeLessThan(40);
    slow = 1;
    fleet.send(200, 150);
    expect(fleet.router.speedOf(2, fleet.nowMs).slowness).toBeLessThan(1.5);
    const recovered = fleet.sent[2]!;
    fleet.send(200, 150);
    expect(fleet.sent[2]! - recovered).toBeGreaterThan(25);
  });

  it('knows which worker would have been best', () => {
    const router = new Router({ policy: createPolicy('foresee'), seed: 1, hasher });
    for (const id of ['a', 'b']) router.addWorker({ id, blockSize, capacityBlocks: 10_000, source: 'events' });
    const route = (isl: number, nowMs: number, excluded: number[] = []): Routed =>
      router.route(
        {
          prompts: [
            {
              isl,
              hashes: [
                hasher.hash(
                  Uint32Array.from({ length: isl }, (_, i) => i + isl),
                  blockSize,
                ),
              ],
            },
          ],
          excluded: new Set(excluded),
        },
        nowMs,
      ) as Routed;
    // Both workers compute 1,000 tokens in 100 ms.
    for (let i = 0; i < 100; i++) {
      const { bookings } = route(1000 + i, i * 1000, [i % 2]);
      router.firstToken(bookings[0]!, i * 1000 + 100 + i / 10);
      router.release(bookings[0]!, 'done', i * 1000 + 200);
    }
    // The long queue on a is done within 10 ms; b, chosen instead, takes 2 s.
    const queued = route(8000, 200_000, [1]);
    const chosen = route(1000, 200_000, [0]);
    const seen = route(1000, 200_000);
    expect(seen.decision.worker).toBe(1);
    expect(router.firstToken(queued.bookings[0]!, 200_010)).not.toBeNull();
    router.firstToken(chosen.bookings[0]!, 201_000);
    const truth = router.firstToken(seen.bookings[0]!, 202_000);
    expect(truth).toMatchObject({ ttftMs: 2000, bestWorker: 0 });
    expect(truth!.regretMs!).toBeGreaterThan(1500);
    expect(router.firstToken(seen.bookings[0]!, 202_001)).toBeNull();
    expect(router.speedOf(1, 202_001)).toMatchObject({ forecasts: 52, regrets: 52 });
    expect(router.speedOf(1, 202_001).regretSumMs).toBeGreaterThanOrEqual(truth!.regretMs!);
  });
});
