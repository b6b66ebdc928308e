// The life of bookings in the router: in-flight credit, release on every path, answers in one piece, refusals.

import { describe, expect, it } from 'vitest';
import { createPolicy, type Prompt, policyNames, type Routed, Router } from '../../src/core/index.ts';
import { announced, promptOf, range, routerOf } from './router-harness.ts';

const prompt = range(0, 40);

it('distinguishes announced blocks from promised ones', () => {
  const { router, route } = routerOf(2);
  const [hashes] = promptOf(prompt, 4).hashes;
  const { worker } = route(prompt).decision;
  expect(router.announcedBlocks(worker, hashes!)).toBe(0);
  router.applyKvEvent(worker, announced(prompt.slice(0, 21), 4), 0);
  expect(router.announcedBlocks(worker, hashes!)).toBe(5);
  expect(router.announcedBlocks(1 - worker, hashes!)).toBe(0);
});

describe('booking', () => {
  it('a burst sees its own effect: new prompts spread, equal ones follow the first', () => {
    const { route } = routerOf(4);
    const firsts = [0, 100, 200, 300].map((start) => route(range(start, start + 40)).decision);
    expect(new Set(firsts.map((decision) => decision.worker)).size).toBe(4);
    expect(firsts.map((decision) => decision.uncachedTokens)).toEqual([40, 40, 40, 40]);
    const again = route(range(200, 240)).decision;
    expect(again).toMatchObject({ worker: firsts[2]!.worker, overlapTokens: 36, uncachedTokens: 4, reason: 'cost' });
  });

  it('without in-flight credit the second prompt is uncached everywhere, yet adds no new blocks to the first worker', () => {
    const { route } = routerOf(4, { inFlightCredit: false, policyOptions: { form: '1731' } });
    const first = route(prompt);
    const second = route(prompt);
    expect(second.decision.uncachedTokens).toBe(40);
    const costs = second.decision.candidates();
    expect(costs.map((cost) => cost.newBlocks)).toEqual(
      costs.map((c) => (c.worker === first.decision.worker ? 0 : 10)),
    );
  });

  it('grows by ceil((ISL + output) / blockSize) around a block boundary and across several at once', () => {
    for (const isl of [7, 8, 9]) {
      const { router, route } = routerOf(1);
      const [booking] = route(range(0, isl)).bookings;
      let output = 0;
      for (const tokens of [0, 1, 1, 2, 9, 4, 1]) {
        router.outputTokens(booking!, tokens, 1);
        output += tokens;
        expect(router.load(0).activeBlocks).toBe(Math.ceil((isl + output) / 4));
      }
      router.release(booking!, 'done', 2);
      expect(router.load(0).activeBlocks).toBe(0);
    }
  });

  it('several sequences grow separately and share the prompt', () => {
    const { router, route } = routerOf(1);
    const [booking] = route(range(0, 10), { sequences: 3 }).bookings;
    expect(router.load(0).activeBlocks).toBe(2 + 3);
    router.outputTokens(booking!, 3, 1, 0);
    router.outputTokens(booking!, 7, 1, 2);
    expect(router.load(0).activeBlocks).toBe(2 + 2 + 1 + 3);
  });

  it('several prompts are booked one by one on one worker, each sees the promises of those before', () => {
    const { router } = routerOf(3);
    const routed = router.route({ prompts: [promptOf(prompt, 4), promptOf(prompt, 4), promptOf([9, 9], 4)] }, 0);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    expect(routed.bookings).toHaveLength(3);
    const { worker } = routed.decision;
    expect(router.load(worker)).toMatchObject({
      activeBlocks: 10 + 1,
      activePrefillTokens: 40 + 4 + 2,
      runningRequests: 3,
    });
    for (const booking of routed.bookings) router.release(booking, 'failed', 0);
    expect(router.load(worker)).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
  });

  it('counts late and double calls as no-ops, also after the slot was reused', () => {
    const { router, route } = routerOf(1);
    const [old] = route(prompt).bookings;
    router.release(old!, 'done', 0);
    const [young] = route(prompt).bookings;
    router.release(old!, 'done', 0);
    router.firstToken(old!, 0);
    router.outputTokens(old!, 100, 0);
    expect(router.counters()).toMatchObject({ routed: 2, released: 1, stale: 3 });
    expect(router.load(0)).toMatchObject({ activeBlocks: 10, runningRequests: 1 });
    router.release(young!, 'done', 0);
    expect(router.liveBookings).toBe(0);
  });

  it("a new incarnation has neither the old blocks nor the old load, and late releases can't touch it", () => {
    const { router, route } = routerOf(1);
    const [old] = route(prompt).bookings;
    router.applyKvEvent(0, announced(prompt, 4), 0);
    router.removeWorker(0);
    expect(router.route({ prompts: [promptOf(prompt, 4)] }, 0)).toEqual({ kind: 'refused', reason: 'no-worker' });
    router.addWorker({ id: 'w0', blockSize: 4, capacityBlocks: 10, source: 'events' });
    expect(router.load(0)).toMatchObject({ activeBlocks: 0, heldBlocks: 0, runningRequests: 0 });
    const again = route(prompt);
    expect(again.decision.overlapTokens).toBe(0);
    router.release(old!, 'done', 0);
    expect(router.load(0).runningRequests).toBe(1);
  });

  it('a worker that is not routable keeps its load and gets no new requests', () => {
    const { router, route } = routerOf(2);
    const { decision } = route(prompt);
    router.setRoutable(decision.worker, false);
    expect(route(prompt).decision).toMatchObject({ worker: 1 - decision.worker, reason: 'only' });
    expect(router.load(decision.worker).activeBlocks).toBe(10);
    router.setRoutable(1 - decision.worker, false);
    expect(router.route({ prompts: [promptOf(prompt, 4)] }, 0)).toEqual({ kind: 'refused', reason: 'no-worker' });
  });

  it('refuses if all routable workers are excluded, and duplicate live ids', () => {
    const { router, route } = routerOf(2);
    const request = { prompts: [promptOf(prompt, 4)], excluded: new Set([0, 1]) };
    expect(router.route(request, 0)).toEqual({ kind: 'refused', reason: 'all-excluded' });
    const [booking] = route(prompt, { id: 'a' }).bookings;
    expect(router.route({ prompts: [promptOf(prompt, 4)], id: 'a' }, 0)).toEqual({
      kind: 'refused',
      reason: 'duplicate-id',
    });
    router.release(booking!, 'aborted', 0);
    route(prompt, { id: 'a' });
    expect(router.counters().refused).toBe(2);
  });

  it('late booking counts nothing before the first token', () => {
    const { router, route } = routerOf(1, { bookAt: 'first-token' });
    const [booking] = route(prompt).bookings;
    const [failed] = route(prompt).bookings;
    expect(router.load(0)).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
    router.firstToken(booking!, 5);
    expect(router.load(0)).toMatchObject({ activeBlocks: 10, activePrefillTokens: 0, runningRequests: 1 });
    router.release(failed!, 'failed', 6);
    router.release(booking!, 'done', 6);
    router.assertConsistent();
    expect(router.load(0).activeBlocks).toBe(0);
  });

  it('weight 0 keeps no index and still counts shared blocks once', () => {
    const { router, route } = routerOf(1, { policyOptions: { overlapWeight: 0 } });
    router.applyKvEvent(0, announced(prompt, 4), 0);
    expect(router.load(0).heldBlocks).toBe(0);
    route(prompt);
    expect(route(prompt).decision).toMatchObject({ overlapTokens: 0 });
    expect(router.load(0).activeBlocks).toBe(10);
  });
});

describe('in-flight credit', () => {
  it('is withdrawn at once by a failure, and by an abort before the first token', () => {
    for (const outcome of ['failed', 'aborted'] as const) {
      const { router, route } = routerOf(1);
      router.release(route(prompt).bookings[0]!, outcome, 0);
      expect(route(prompt).decision.overlapTokens).toBe(0);
    }
  });

  it('outlives a normal end until the event; without one for 250 ms, and for 3 s before any event was timed', () => {
    const { router, route } = routerOf(1);
    const overlapAt = (nowMs: number): number => {
      const { decision, bookings } = route(prompt, {}, nowMs);
      router.release(bookings[0]!, 'failed', nowMs);
      return decision.overlapBlocks;
    };
    router.release(route(prompt, {}, 0).bookings[0]!, 'done', 100);
    expect(overlapAt(3099)).toBe(10);
    expect(overlapAt(3101)).toBe(0);
    const [timed] = route(range(100, 140), {}, 4000).bookings;
    router.firstToken(timed!, 4000);
    router.applyKvEvent(0, announced(range(100, 140), 4), 4010);
    router.release(timed!, 'done', 4010);
    router.release(route(prompt, {}, 5000).bookings[0]!, 'done', 5000);
    expect(overlapAt(5249)).toBe(10);
    expect(overlapAt(5251)).toBe(0);
    router.release(route(prompt, {}, 6000).bookings[0]!, 'done', 6000);
    router.applyKvEvent(0, announced(prompt, 4), 6050);
    expect(overlapAt(20_000)).toBe(10);
  });

  it('learns the event lag from whole answers too: the next prediction is right although its batch is late', () => {
    const { router, route } = routerOf(1);
    const whole = (tokens: readonly number[], nowMs: number): number => {
      const { decision, bookings } = route(tokens, { wholeAnswer: true }, nowMs);
      router.release(bookings[0]!, 'done', nowMs + 10);
      return decision.overlapBlocks;
    };
    // Each batch arrives a second after its answer; the prompt is repeated just before that.
    for (let round = 0; round < 20; round++) {
      const tokens = range(1000 * round, 1000 * round + 40);
      const startMs = 10_000 * round;
      expect(whole(tokens, startMs)).toBe(0);
      expect(whole(tokens, startMs + 900), `round ${round}`).toBe(10);
      router.applyKvEvent(0, announced(tokens, 4), startMs + 1010);
    }
    expect(router.load(0).eventLagMs).toBeGreaterThan(900);
    expect(router.missedEvents(0, 200_000)).toBe(0);
  });

  it('counts whole answers that no event announces', () => {
    const { router, route } = routerOf(1);
    for (let round = 0; round < 3; round++) {
      const { bookings } = route(range(1000 * round, 1000 * round + 40), { wholeAnswer: true }, round);
      router.release(bookings[0]!, 'done', round);
    }
    expect(router.missedEvents(0, 10_000)).toBe(3);
  });

  it('ends with the eviction of a confirmed block', () => {
    const { router, route } = routerOf(1);
    router.release(route(prompt, {}, 0).bookings[0]!, 'done', 0);
    router.applyKvEvent(0, announced(prompt, 4), 10);
    router.applyKvEvent(0, { kind: 'cleared' }, 20);
    expect(route(prompt, {}, 30).decision.overlapBlocks).toBe(0);
    expect(router.load(0).viewEpoch).toBe(1);
  });

  it('lingers for twice the measured lag of the events', () => {
    const { router, route } = routerOf(1);
    const [booking] = route(prompt, {}, 0).bookings;
    router.firstToken(booking!, 1000);
    router.applyKvEvent(0, announced(prompt, 4), 1400);
    expect(router.load(0).eventLagMs).toBe(400);
    router.release(booking!, 'done', 1500);
    const other = range(100, 140);
    router.release(route(other, {}, 2000).bookings[0]!, 'done', 2000);
    const seen = route(other, {}, 2799);
    expect(seen.decision.overlapBlocks).toBe(10);
    router.release(seen.bookings[0]!, 'failed', 2799);
    expect(route(other, {}, 2801).decision.overlapBlocks).toBe(0);
  });

  it('continues in the index: promised blocks 0..4, announced 5..9', () => {
    const { router, route } = routerOf(1);
    router.applyKvEvent(0, announced(prompt, 4), 0);
    const hashes = announced(prompt.slice(0, 20), 4);
    if (hashes.kind !== 'stored') throw new Error('unreachable');
    router.applyKvEvent(0, { kind: 'removed', hashes: hashes.hashes }, 0);
    route(prompt.slice(0, 20));
    expect(route(prompt).decision).toMatchObject({ overlapBlocks: 10 });
  });
});

describe('a prompt', () => {
  const routeAs = (
    router: Router,
    more: Partial<Prompt>,
    prompts: readonly (readonly number[])[],
    nowMs: number,
  ): Routed => {
    const routed = router.route({ prompts: prompts.map((tokens) => ({ ...promptOf(tokens, 4), ...more })) }, nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    return routed;
  };

  it.each(['events', 'approximate'] as const)(
    'that the engine recomputes has no overlap, and stores its blocks as usual: %s',
    (source) => {
      const { router, route } = routerOf(1, { source });
      const [first] = route(prompt).bookings;
      router.firstToken(first!, 1);
      const { decision, bookings } = routeAs(router, { recomputed: true }, [prompt, prompt], 2);
      expect(decision).toMatchObject({ overlapTokens: 0, overlapBlocks: 0, uncachedTokens: 80 });
      expect(decision.candidates()[0]).toMatchObject({ promisedBlocks: 0, newBlocks: 0 });
      expect(router.load(0)).toMatchObject({ activeBlocks: 10, activePrefillTokens: 80 });
      for (const booking of [first!, ...bookings]) router.release(booking, 'failed', 3);
      const other = range(100, 140);
      const [booking] = routeAs(router, { recomputed: true }, [other], 4).bookings;
      router.firstToken(booking!, 5);
      router.release(booking!, 'done', 5);
      expect(route(other, {}, 6).decision.overlapTokens).toBe(36);
    },
  );

  it('that no event will announce is not awaited, and promises nothing beyond its end', () => {
    const { router } = routerOf(1);
    for (let i = 0; i < 4; i++) {
      const { decision, bookings } = routeAs(router, { unannounced: true }, [prompt], i);
      expect(decision.overlapTokens).toBe(0);
      router.firstToken(bookings[0]!, i);
      router.release(bookings[0]!, 'done', i);
    }
    expect(router.missedEvents(0, 100_000)).toBe(0);
  });
});

describe('approximate mode', () => {
  it('mirrors our own decisions at the first token, evicts the least recently used, within the capacity', () => {
    const { router, route } = routerOf(1, { source: 'approximate', capacityBlocks: 20, inFlightCredit: false });
    const use = (tokens: number[], nowMs: number): number => {
      const { decision, bookings } = route(tokens, {}, nowMs);
      router.firstToken(bookings[0]!, nowMs);
      router.release(bookings[0]!, 'done', nowMs);
      return decision.overlapBlocks;
    };
    expect(use(range(0, 40), 0)).toBe(0);
    expect(use(range(100, 140), 1)).toBe(0);
    expect(use(range(0, 40), 2)).toBe(10);
    expect(use(range(200, 220), 3)).toBe(0);
    expect(router.load(0).heldBlocks).toBe(20);
    expect(use(range(100, 140), 4)).toBe(5);
    expect(use(range(0, 40), 5)).toBe(5);
    router.setCapacity(0, 3);
    expect(router.load(0).heldBlocks).toBe(3);
    router.assertConsistent();
  });

  it('ignores events, and starts again when the source changes', () => {
    const { router, route } = routerOf(1, { source: 'approximate' });
    router.applyKvEvent(0, announced(prompt, 4), 0);
    expect(router.load(0).heldBlocks).toBe(0);
    router.firstToken(route(prompt).bookings[0]!, 0);
    expect(router.load(0).heldBlocks).toBe(10);
    router.setSource(0, 'events');
    expect(router.load(0)).toMatchObject({ heldBlocks: 0, viewEpoch: 1, source: 'events' });
    router.applyKvEvent(0, announced(prompt, 4), 0);
    expect(router.load(0).heldBlocks).toBe(10);
  });
});

describe('requests answered in one piece', () => {
  it('prefill is done when a later booking on the worker gets its first token', () => {
    const { router, route } = routerOf(1);
    route(prompt, { wholeAnswer: true });
    const [later] = route(range(100, 120)).bookings;
    expect(router.load(0).activePrefillTokens).toBe(60);
    router.firstToken(later!, 3);
    expect(router.load(0).activePrefillTokens).toBe(0);
  });

  it('an earlier booking proves nothing about a later one', () => {
    const { router, route } = routerOf(1);
    const [earlier] = route(range(100, 120)).bookings;
    route(prompt, { wholeAnswer: true });
    router.firstToken(earlier!, 3);
    expect(router.load(0).activePrefillTokens).toBe(40);
  });

  it('ends its prefill after uncached tokens / observed rate; then output grows at the observed gap up to its bound', () => {
    const { router, route } = routerOf(1);
    const [teacher] = route(range(1000, 1400), {}, 1000).bookings;
    router.firstToken(teacher!, 1400); // 400 tokens in 400 ms
    router.outputTokens(teacher!, 1, 1400);
    router.outputTokens(teacher!, 1, 1420); // a gap of 20 ms
    router.release(teacher!, 'done', 1430);
    expect(router.load(0)).toMatchObject({ prefillTokensPerS: 1000, tokenGapMs: 20 });

    route(prompt, { wholeAnswer: true, maxOutputTokens: 9 }, 2000);
    router.advance(2039);
    expect(router.load(0)).toMatchObject({ activePrefillTokens: 40, activeBlocks: 10 });
    router.advance(2040);
    expect(router.load(0)).toMatchObject({ activePrefillTokens: 0, activeBlocks: 11 });
    router.advance(2040 + 79);
    expect(router.load(0).activeBlocks).toBe(11);
    router.advance(2040 + 80); // the fifth token begins a block
    expect(router.load(0).activeBlocks).toBe(12);
    router.advance(60_000);
    expect(router.load(0).activeBlocks).toBe(13);
    router.assertConsistent();
  });
});

it('the same seed and calls give the same decisions', () => {
  const run = (): number[] => {
    const router = new Router({ policy: createPolicy('kv', { temperature: 0.5 }), seed: 7 });
    for (let i = 0; i < 8; i++) router.addWorker({ id: `w${i}`, blockSize: 4, capacityBlocks: 10, source: 'events' });
    return range(0, 200).map((i) => {
      const routed = router.route({ prompts: [promptOf(range(i % 5, 30), 4)] }, i);
      return routed.kind === 'routed' ? routed.decision.worker : -1;
    });
  };
  const decisions = run();
  expect(run()).toEqual(decisions);
  expect(new Set(decisions).size).toBeGreaterThan(4);
});

it.each(policyNames)('%s: choosing without booking says what booking then does, and changes nothing', (name) => {
  const run = (chooses: boolean): number[] => {
    const router = new Router({ policy: createPolicy(name), seed: 3 });
    for (let i = 0; i < 6; i++) router.addWorker({ id: `w${i}`, blockSize: 4, capacityBlocks: 99, source: 'events' });
    return range(0, 120).map((i) => {
      const request = { prompts: [promptOf(range(100 * (i % 9), 100 * (i % 9) + 30), 4)], temperature: 0.5 };
      const before = router.loads();
      const chosen = chooses ? [router.choose(request, i), router.choose(request, i)] : [];
      if (chooses) expect(router.loads()).toEqual(before);
      const routed = router.route(request, i);
      if (routed.kind !== 'routed') throw new Error(routed.reason);
      for (const one of chosen) {
        if ('kind' in one) throw new Error(one.reason);
        expect(one.worker).toBe(routed.decision.worker);
        expect(one.candidates()).toEqual(routed.decision.candidates());
      }
      return routed.decision.worker;
    });
  };
  expect(run(true)).toEqual(run(false));
});

it('choosing refuses where booking would, and counts nothing', () => {
  const { router } = routerOf(1);
  const request = { prompts: [promptOf(prompt, 4)] };
  expect(router.choose({ ...request, excluded: new Set([0]) }, 0)).toEqual({ kind: 'refused', reason: 'all-excluded' });
  router.setRoutable(0, false);
  expect(router.choose(request, 0)).toEqual({ kind: 'refused', reason: 'no-worker' });
  expect(router.counters()).toMatchObject({ routed: 0, refused: 0 });
});
