// Requests that become ready in the same turn of the event loop are placed together; a single one does not wait.

import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it, vi } from 'vitest';
import { type Applicant, createPolicy, type Routed, Router } from '../../../src/core/index.ts';
import { Exchange } from '../../../src/gateway/exchange/exchange.ts';
import { AdmissionDesk } from '../../../src/gateway/pools/admission-desk.ts';
import { hasher } from '../../core/router-harness.ts';

const blockSize = 4;
const observer = { full: () => undefined, left: () => undefined };

function setUp({ joint = true, queue = true, capacityBlocks = 1000 } = {}) {
  const router = new Router({
    policy: createPolicy('kv'),
    seed: 1,
    joint,
    hasher,
    onRoomChange: () => desk.roomChanged(),
  });
  const options = { queue, queuedRequestsMax: 2, queueWaitMsMax: 10_000, tenantReserveS: 0 };
  const desk: AdmissionDesk = new AdmissionDesk(router, options);
  for (const id of ['a', 'b']) router.addWorker({ id, blockSize, capacityBlocks, source: 'events' });
  const plan = vi.spyOn(router, 'plan');
  return { router, desk, plan };
}

function exchangeOf(): { exchange: Exchange; leave: () => void } {
  const response = Object.assign(new EventEmitter(), { writableFinished: false }) as unknown as ServerResponse;
  const exchange = new Exchange({ headers: {} } as IncomingMessage, response);
  return { exchange, leave: () => response.emit('close') };
}

/** An applicant with a unique prompt. */
function applicantOf(first: number, tokens: number): Applicant {
  const ids = Uint32Array.from({ length: tokens }, (_, i) => first * 1000 + i);
  const request = { prompts: [{ isl: tokens, hashes: [hasher.hash(ids, blockSize)] }] };
  return { priority: 0, lane: '', request: () => request };
}

function releaseAll(router: Router, routed: readonly (Routed | null)[]): void {
  for (const one of routed) for (const booking of one?.bookings ?? []) router.release(booking, 'done', 1);
  router.assertConsistent();
  for (const load of router.loads()) {
    expect(load).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
  }
}

describe('the desk of a router that plans bursts', () => {
  it('places the requests of one turn together, the shortest of each worker first', async () => {
    const { router, desk, plan } = setUp();
    const order: number[] = [];
    const placing = [90, 60, 30, 5].map((tokens, i) =>
      desk.place(applicantOf(i, tokens), exchangeOf().exchange, observer, (routed) => {
        order.push(tokens);
        return routed;
      }),
    );
    expect([order, plan.mock.calls.length]).toEqual([[], 0]);
    const routed = await Promise.all(placing);
    expect(plan).toHaveBeenCalledOnce();
    const ofWorker = new Map<number, number[]>();
    for (const tokens of order) {
      const { worker } = routed[[90, 60, 30, 5].indexOf(tokens)]!.decision;
      ofWorker.set(worker, [...(ofWorker.get(worker) ?? []), tokens]);
    }
    expect([...ofWorker.values()].flat().sort((a, b) => a - b)).toEqual([5, 30, 60, 90]);
    for (const tokens of ofWorker.values()) expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    releaseAll(router, routed);
  });

  it('places a single request by the policy, before any timer of its turn', async () => {
    const { router, desk, plan } = setUp();
    let timed = false;
    setTimeout(() => {
      timed = true;
    }, 30);
    const routed = await desk.place(applicantOf(1, 9), exchangeOf().exchange, observer, (one) => one);
    expect([timed, plan.mock.calls.length, routed?.decision.reason]).toEqual([false, 0, 'tie']);
    releaseAll(router, [routed]);
  });

  it('books nothing for a client that has left, and rejects only the request with a fault', async () => {
    const { router, desk } = setUp();
    const gone = exchangeOf();
    const placing = [
      desk.place(applicantOf(1, 9), gone.exchange, observer, (one) => one),
      desk.place(applicantOf(2, 9), exchangeOf().exchange, observer, (one) => one),
      desk.place(applicantOf(3, 9), exchangeOf().exchange, observer, () => {
        throw new Error('own fault');
      }),
    ];
    gone.leave();
    const [left, routed, broken] = await Promise.allSettled(placing);
    expect(left).toEqual({ status: 'fulfilled', value: null });
    expect(broken).toMatchObject({ status: 'rejected', reason: { message: 'own fault' } });
    expect(router.liveBookings).toBe(1);
    releaseAll(router, [(routed as PromiseFulfilledResult<Routed>).value]);
  });

  it('rejects all of them if the plan fails, and leaves no booking', async () => {
    const { router, desk, plan } = setUp();
    plan.mockImplementation(() => {
      throw new Error('broken plan');
    });
    const placing = [1, 2].map((i) => desk.place(applicantOf(i, 9), exchangeOf().exchange, observer, (one) => one));
    for (const settled of await Promise.allSettled(placing)) {
      expect(settled).toMatchObject({ status: 'rejected', reason: { message: 'broken plan' } });
    }
    releaseAll(router, []);
  });

  it("queues requests without room, up to the queue's limit, and places them when there is room", async () => {
    const { router, desk } = setUp({ capacityBlocks: 10 });
    const settled: (Routed | null)[] = [];
    const refused: unknown[] = [];
    const full = new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    const all = [1, 2, 3, 4, 5].map((i) =>
      Promise.resolve(desk.place(applicantOf(i, 33), exchangeOf().exchange, observer, (one) => one)).then(
        async (routed) => {
          settled.push(routed);
          await full;
          release(router, routed);
        },
        (error: unknown) => refused.push(error),
      ),
    );
    await full;
    expect([router.liveBookings, desk.waiting]).toEqual([2, 2]);
    await Promise.all(all);
    expect([settled.length, refused]).toMatchObject([4, [{ status: 429 }]]);
    releaseAll(router, []);
  });

  it('places a request synchronously if the router plans nothing', () => {
    const { router, desk, plan } = setUp({ joint: false });
    const routed = desk.place(applicantOf(1, 9), exchangeOf().exchange, observer, (one) => one) as Routed;
    expect([routed.kind, plan.mock.calls.length]).toEqual(['routed', 0]);
    releaseAll(router, [routed]);
  });
});

function release(router: Router, routed: Routed | null): void {
  for (const booking of routed?.bookings ?? []) router.release(booking, 'done', 1);
}
