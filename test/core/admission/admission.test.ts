// The rules of admission one by one: which requests are placed, which wait, and in which order.

import { describe, expect, it } from 'vitest';
import { applicant, harnessOf } from './admission-harness.ts';

describe('room', () => {
  it('holds a request while every worker would exceed its capacity, and places it in the step that frees blocks', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10 }, { capacityBlocks: 10 }]);
    expect([enter(applicant(1, 10)), enter(applicant(2, 8)), enter(applicant(3, 2))]).toEqual([0, 1, 1]);
    expect(enter(applicant(4, 1))).toBe('waiting');
    expect(drain()).toEqual([]);
    release(3);
    expect(drain()).toEqual([[4, 1]]);
  });

  it('leaves the choice to the policy while any worker has room', () => {
    const { enter, router } = harnessOf([{ capacityBlocks: 4 }, { capacityBlocks: 100 }]);
    expect([1, 2, 3].map((name) => enter(applicant(name, 4)))).toEqual([0, 1, 0]);
    router.setRunningRequestsMax(0, 2);
    expect([4, 5].map((name) => enter(applicant(name, 4)))).toEqual([1, 1]);
  });

  it('counts blocks shared with a request in flight once', () => {
    const { enter } = harnessOf([{ capacityBlocks: 10 }]);
    const whole = applicant(1, 10);
    expect(enter(whole)).toBe(0);
    expect(enter({ ...whole, name: 2 })).toBe(0);
    expect(enter(applicant(3, 1))).toBe('waiting');
  });

  it('never exceeds the maximum of running requests in a burst', () => {
    const { enter, drain, release, router, admission } = harnessOf(
      [0, 1, 2, 3].map(() => ({ capacityBlocks: 8192, capacityKnown: false, runningRequestsMax: 5 })),
      1000,
    );
    const names = Array.from({ length: 1000 }, (_, i) => i);
    const taken = names.filter((name) => enter(applicant(name, 3)) !== 'waiting');
    expect(taken).toEqual(names.slice(0, 20));
    expect(router.loads().map(({ runningRequests }) => runningRequests)).toEqual([5, 5, 5, 5]);
    for (const name of taken) release(name);
    expect(drain().map(([name]) => name)).toEqual(names.slice(20, 40));
    expect(admission.waiting).toBe(960);
  });

  it('does not hold a request because of an assumed capacity', () => {
    const { enter, router, drain } = harnessOf([{ capacityBlocks: 2, capacityKnown: false }]);
    expect([1, 2, 3].map((name) => enter(applicant(name, 50)))).toEqual([0, 0, 0]);
    router.setCapacity(0, 200);
    expect(enter(applicant(4, 60))).toBe('waiting');
    router.setCapacity(0, 200, false);
    expect(drain()).toEqual([[4, 0]]);
  });

  it("places a request that exceeds every worker's capacity at once: the engine decides", () => {
    const { enter } = harnessOf([{ capacityBlocks: 10 }, { capacityBlocks: 20 }]);
    expect([enter(applicant(1, 10)), enter(applicant(2, 20))]).toEqual([0, 1]);
    expect(enter(applicant(3, 21))).toBe(0);
    expect(enter(applicant(4, 20))).toBe('waiting');
  });

  it('applies the running maximum to a request that exceeds every capacity', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10, runningRequestsMax: 1 }]);
    expect(enter(applicant(1, 1))).toBe(0);
    expect(enter(applicant(2, 11))).toBe('waiting');
    release(1);
    expect(drain()).toEqual([[2, 0]]);
  });

  it('keeps the prompts of one request together, and waits for no more than an idle worker', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 100, runningRequestsMax: 2 }]);
    const prompts = [1, 2, 3].flatMap(() => applicant(0, 1).request().prompts);
    expect(enter(applicant(1, 1))).toBe(0);
    expect(enter(applicant(2, 1, { prompts }))).toBe('waiting');
    release(1);
    expect(drain()).toEqual([[2, 0]]);
  });
});

describe('order', () => {
  it('is by priority, lower first, then by arrival', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 4 }]);
    enter(applicant(0, 4));
    for (const [name, priority] of [
      [1, 5],
      [2, 0],
      [3, -1],
      [4, 0],
      [5, -1],
    ] as const) {
      expect(enter(applicant(name, 4, { priority }))).toBe('waiting');
    }
    const order: number[] = [];
    for (let last = 0; order.length < 5; last = order.at(-1)!) {
      release(last);
      order.push(...drain().map(([name]) => name));
    }
    expect(order).toEqual([3, 5, 2, 4, 1]);
  });

  it('reserves one worker for a blocked large request', () => {
    const { enter, drain, release } = harnessOf([{ capacityBlocks: 10 }, { capacityBlocks: 10 }]);
    expect([1, 2, 3, 4].map((name) => enter(applicant(name, 5)))).toEqual([0, 1, 0, 1]);
    expect(enter(applicant(5, 10))).toBe('waiting');
    expect([enter(applicant(6, 5)), enter(applicant(7, 5))]).toEqual(['waiting', 'waiting']);
    release(1);
    expect(drain()).toEqual([]);
    release(2);
    expect(drain()).toEqual([[6, 1]]);
    release(3);
    expect(drain()).toEqual([[5, 0]]);
    release(6);
    expect(drain()).toEqual([[7, 1]]);
  });

  it('places a large request within an endless stream of small ones', () => {
    const { enter, drain, release, live } = harnessOf([{ capacityBlocks: 10 }, { capacityBlocks: 10 }]);
    let name = 0;
    for (; name < 20; name++) enter(applicant(name, 1));
    const large = name++;
    enter(applicant(large, 10));
    let rounds = 0;
    for (; !live.has(large) && rounds < 100; rounds++) {
      enter(applicant(name++, 1));
      release([...live.keys()][0]!);
      drain();
    }
    expect(rounds).toBeLessThan(30);
  });

  it('lets a request for other workers pass a blocked one', () => {
    const { enter, drain } = harnessOf([{ capacityBlocks: 4 }, { capacityBlocks: 400 }]);
    const only = (worker: number) => ({ lane: `${worker}`, excluded: new Set([1 - worker]) });
    enter(applicant(1, 4, only(0)));
    for (let name = 2; name < 50; name++) expect(enter(applicant(name, 4, only(0)))).toBe('waiting');
    enter(applicant(50, 4, only(1)));
    expect(drain()).toEqual([[50, 1]]);
  });
});

describe('the queue', () => {
  it('is bounded, and drops withdrawn requests', () => {
    const { enter, admission, drain, release } = harnessOf([{ capacityBlocks: 4 }], 2);
    enter(applicant(0, 4));
    const entries = [1, 2, 3].map((name) => admission.enter(applicant(name, 4), 0));
    expect(entries.map(({ kind }) => kind)).toEqual(['waiting', 'waiting', 'full']);
    expect([admission.waiting, admission.waitingBlocks]).toEqual([2, 8]);
    const [first] = entries;
    if (first?.kind !== 'waiting') throw new Error('the first waits');
    expect([admission.withdraw(first.waiting), admission.withdraw(first.waiting)]).toEqual([true, false]);
    expect([admission.waiting, admission.waitingBlocks]).toEqual([1, 4]);
    release(0);
    expect(drain()).toEqual([[2, 0]]);
    expect([admission.waiting, admission.waitingBlocks]).toEqual([0, 0]);
  });

  it('places a request that finds room even if nobody may wait', () => {
    const { enter } = harnessOf([{ capacityBlocks: 4 }], 0);
    expect([enter(applicant(1, 4)), enter(applicant(2, 4))]).toEqual([0, 'full']);
  });

  it('estimates retry-after from the releases of the last 30 s', () => {
    const { enter, admission, release, drain } = harnessOf([{ capacityBlocks: 100 }], 1);
    const retryAfterS = (nowMs: number): number => {
      const entry = admission.enter(applicant(99, 20), nowMs);
      if (entry.kind !== 'full') throw new Error(entry.kind);
      return entry.retryAfterS;
    };
    enter(applicant(0, 100), 0);
    enter(applicant(1, 40), 1000);
    // Nothing was ever released.
    expect(retryAfterS(2000)).toBe(60);
    release(0, 10_000);
    expect(drain(10_000)).toEqual([[1, 0]]);
    enter(applicant(2, 60), 10_000);
    enter(applicant(3, 40), 10_000);
    // 100 blocks freed in 10 s; 40 + 20 are needed.
    expect(retryAfterS(10_000)).toBe(6);
    expect(retryAfterS(20_000)).toBe(12);
    // The release is older than the window.
    expect(retryAfterS(45_000)).toBe(60);
    release(2, 45_000);
    release(1, 45_000);
    expect(drain(45_000)).toEqual([[3, 0]]);
    enter(applicant(4, 60), 45_000);
    enter(applicant(5, 1), 45_000);
    // 100 blocks freed since the reading at 20 s; 1 + 20 are needed.
    expect(retryAfterS(45_000)).toBe(6);
  });

  it('refuses waiting requests as soon as no worker is left for them', () => {
    const { enter, drain, router } = harnessOf([{ capacityBlocks: 4 }]);
    enter(applicant(1, 4));
    enter(applicant(2, 4));
    router.setRoutable(0, false);
    expect(drain()).toEqual([[2, null]]);
    expect(enter(applicant(3, 1))).toBe('no-worker');
  });

  it('places waiting requests on a worker that joins', () => {
    const { enter, drain, router } = harnessOf([{ capacityBlocks: 4 }]);
    enter(applicant(1, 4));
    enter(applicant(2, 4));
    router.addWorker({ id: 'more', blockSize: 4, capacityBlocks: 4, source: 'events' });
    expect(drain()).toEqual([[2, 1]]);
  });
});

describe('Router.onRoomChange', () => {
  it('is called on every change that may let a request proceed', () => {
    let calls = 0;
    const called = (act: () => void): boolean => {
      const before = calls;
      act();
      return calls > before;
    };
    const { router } = harnessOf([], 0, () => calls++);
    let worker = 0;
    expect(
      called(() => (worker = router.addWorker({ id: 'a', blockSize: 4, capacityBlocks: 9, source: 'events' }))),
    ).toBe(true);
    expect(called(() => router.setCapacity(worker, 8))).toBe(true);
    expect(called(() => router.setRunningRequestsMax(worker, 8))).toBe(true);
    expect(called(() => router.setRoutable(worker, true))).toBe(true);
    expect(called(() => router.setBlockSize(worker, 4))).toBe(true);
    const routed = router.route(applicant(1, 2).request(), 0);
    if (routed.kind !== 'routed') throw new Error(routed.reason);
    expect(called(() => router.firstToken(routed.bookings[0]!, 1))).toBe(false);
    expect(called(() => router.outputTokens(routed.bookings[0]!, 9, 1))).toBe(false);
    expect(called(() => router.setOutputTokens(routed.bookings[0]!, 1))).toBe(true);
    expect(called(() => router.release(routed.bookings[0]!, 'done', 2))).toBe(true);
    expect(called(() => router.removeWorker(worker))).toBe(true);
  });
});
