// Late binding: requests that no engine could start soon wait at the router, the most urgent goes first, and none starves.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dueMs, overtakenMsMax } from '../../../src/core/admission/due-time.ts';
import {
  Admission,
  createPolicy,
  type LateBindingOptions,
  type Routed,
  Router,
  type Waiting,
} from '../../../src/core/index.ts';
import { applicant, blockSize, type Named } from './admission-harness.ts';

interface Step {
  readonly kind: 'enter' | 'first-token' | 'release' | 'withdraw';
  readonly blocks: number;
  readonly priority: number;
  readonly sloMs: number | null;
  readonly pick: number;
  readonly afterMs: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('enter', 'enter', 'enter', 'first-token', 'release', 'withdraw'),
  blocks: fc.integer({ min: 1, max: 200 }),
  priority: fc.constantFrom(0, 0, 0, 1),
  sloMs: fc.constantFrom(null, null, 1, 500, 100_000),
  pick: fc.nat(1000),
  afterMs: fc.integer({ min: 0, max: 3000 }),
});

/** A router, its queue and a simulated clock. */
class Scene {
  readonly router: Router;
  readonly admission: Admission<Named>;
  readonly live = new Map<number, Routed>();
  readonly waiting = new Map<number, Waiting<Named>>();
  /** Names in the order of booking. */
  readonly booked: number[] = [];
  readonly enteredMs = new Map<number, number>();
  readonly priorityOf = new Map<number, number>();
  nowMs = 0;
  #names = 0;

  constructor(workerCount: number, waitingMax: number, lateBinding: LateBindingOptions | null) {
    const router = new Router({
      policy: createPolicy('foresee'),
      seed: 1,
      ...(lateBinding !== null && { lateBinding }),
    });
    for (let i = 0; i < workerCount; i++) {
      router.addWorker({ id: `w${i}`, blockSize, capacityBlocks: 1e6, source: 'events' });
    }
    this.router = router;
    this.admission = new Admission<Named>(router, { waitingMax });
  }

  enter(blocks: number, more: { priority?: number; sloMs?: number | null } = {}): string {
    const name = this.#names++;
    const { priority = 0, sloMs = null } = more;
    this.enteredMs.set(name, this.nowMs);
    this.priorityOf.set(name, priority);
    const one = applicant(name, blocks, { priority, ...(sloMs !== null && { slo: { ttftMs: sloMs } }) });
    const entry = this.admission.enter(one, this.nowMs);
    if (entry.kind === 'routed') this.#book(name, entry);
    if (entry.kind === 'waiting') this.waiting.set(name, entry.waiting);
    this.drain();
    return entry.kind;
  }

  /** @returns the names that were placed */
  drain(): number[] {
    return this.admission.drain(this.nowMs).map(({ applicant: { name }, outcome }) => {
      if (outcome.kind !== 'routed') throw new Error(outcome.kind);
      this.waiting.delete(name);
      this.#book(name, outcome);
      return name;
    });
  }

  firstToken(name: number): void {
    for (const booking of this.live.get(name)!.bookings) this.router.firstToken(booking, this.nowMs);
    this.drain();
  }

  release(name: number): void {
    for (const booking of this.live.get(name)!.bookings) this.router.release(booking, 'done', this.nowMs);
    this.live.delete(name);
    this.drain();
  }

  #book(name: number, routed: Routed): void {
    this.booked.push(name);
    this.live.set(name, routed);
  }
}

describe('late binding', () => {
  it('keeps the ledger exact, the queue within its limit, and loses nothing, in any order of events', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(0.25, 1, 4), (steps, wrongBy) => {
        const scene = new Scene(2, 6, { wrongBy });
        let lost = 0;
        let entered = 0;
        for (const { kind, blocks, priority, sloMs, pick, afterMs } of steps) {
          scene.nowMs += afterMs;
          if (kind === 'enter') {
            entered++;
            if (scene.enter(blocks, { priority, sloMs }) === 'full') lost++;
          } else if (kind === 'withdraw') {
            const name = [...scene.waiting.keys()][pick % Math.max(1, scene.waiting.size)];
            if (name === undefined) continue;
            expect(scene.admission.withdraw(scene.waiting.get(name)!)).toBe(true);
            scene.waiting.delete(name);
            lost++;
          } else {
            const name = [...scene.live.keys()][pick % Math.max(1, scene.live.size)];
            if (name === undefined) continue;
            if (kind === 'release') scene.release(name);
            else scene.firstToken(name);
          }
          scene.router.assertConsistent();
          expect(scene.admission.waiting).toBe(scene.waiting.size);
          expect(scene.admission.waiting).toBeLessThanOrEqual(6);
          // Requests wait only while some worker has prefills booked.
          if (scene.waiting.size > 0) {
            expect(scene.router.loads().some(({ activePrefillTokens }) => activePrefillTokens > 0)).toBe(true);
          }
        }
        for (let rounds = 0; scene.live.size > 0; rounds++) {
          scene.nowMs += 100;
          scene.release([...scene.live.keys()][0]!);
          expect(rounds).toBeLessThan(200);
        }
        expect([scene.waiting.size, scene.admission.waitingBlocks, scene.router.liveBookings]).toEqual([0, 0, 0]);
        expect(scene.booked.length).toBe(entered - lost);
        expect(new Set(scene.booked).size).toBe(scene.booked.length);
        scene.router.assertConsistent();
      }),
      { numRuns: 100 },
    );
  });

  it('lets no request be overtaken by one of its priority that arrived `overtakenMsMax` later', () => {
    let overtakings = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => {
        const scene = new Scene(1, 1000, {});
        for (const { kind, blocks, priority, sloMs, pick, afterMs } of steps) {
          scene.nowMs += afterMs;
          if (kind === 'enter') scene.enter(blocks, { priority, sloMs });
          else if (kind !== 'withdraw' && scene.live.size > 0) {
            scene.release([...scene.live.keys()][pick % scene.live.size]!);
          }
        }
        while (scene.live.size > 0) scene.release([...scene.live.keys()][0]!);
        for (const [at, name] of scene.booked.entries()) {
          for (const before of scene.booked.slice(0, at)) {
            if (scene.priorityOf.get(before) !== scene.priorityOf.get(name) || before < name) continue;
            overtakings++;
            expect(scene.enteredMs.get(before)! - scene.enteredMs.get(name)!).toBeLessThanOrEqual(overtakenMsMax);
          }
        }
      }),
      { numRuns: 100 },
    );
    expect(overtakings).toBeGreaterThan(0);
  });

  it('orders by priority, then by the latest start for an SLO, then by length', () => {
    const scene = new Scene(1, 100, {});
    while (scene.waiting.size === 0) scene.enter(500);
    const [first] = scene.waiting.keys();
    const { prompts } = applicant(-1, 400).request();
    const sloMs = scene.router.lateBinding!.leastPrefillMs({ prompts }, 0) + 10;
    const [long, short, urgent, high] = [[400], [20], [400, { sloMs }], [400, { priority: -1 }]].map((args) => {
      scene.enter(...(args as [number, { sloMs?: number; priority?: number }]));
      return [...scene.waiting.keys()].at(-1)!;
    });
    while (scene.live.size > 0) {
      scene.nowMs += 1;
      scene.release([...scene.live.keys()][0]!);
    }
    expect(scene.booked.slice(first!)).toEqual([high, urgent, short, first, long]);
  });

  it('is off by default: a worker takes whatever fits its cache', () => {
    const scene = new Scene(1, 100, null);
    for (let i = 0; i < 20; i++) expect(scene.enter(500)).toBe('routed');
    while (scene.live.size > 0) scene.release([...scene.live.keys()][0]!);
  });
});

describe('due times', () => {
  it("lie between the arrival and `overtakenMsMax` after it, and ignore SLOs that can't be met", () => {
    const times = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(times, times, fc.option(times), times, (arrivalMs, prefillMs, sloMs, waitedMs) => {
        const sloTtftMs = sloMs ?? Number.POSITIVE_INFINITY;
        const nowMs = arrivalMs + waitedMs;
        const due = dueMs({ arrivalMs, prefillMs, sloTtftMs }, nowMs);
        expect(due).toBeGreaterThanOrEqual(arrivalMs);
        expect(due).toBeLessThanOrEqual(arrivalMs + overtakenMsMax);
        const without = dueMs({ arrivalMs, prefillMs, sloTtftMs: Number.POSITIVE_INFINITY }, nowMs);
        if (arrivalMs + sloTtftMs - prefillMs < nowMs) expect(due).toBe(without);
      }),
    );
  });
});
