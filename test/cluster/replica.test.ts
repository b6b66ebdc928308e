import { describe, expect, it } from 'vitest';
import { Replica } from '../../src/cluster/index.ts';
import { createPolicy } from '../../src/core/policies/catalogue.ts';
import { Router } from '../../src/core/router.ts';
import type { RouteRequest } from '../../src/core/types.ts';

const blockSize = 16;

function routerOf(workers = 3): Router {
  const router = new Router({ policy: createPolicy('foresee'), seed: 1 });
  for (let i = 0; i < workers; i++) {
    router.addWorker({ id: `http://w${i}#0`, blockSize, capacityBlocks: 1000, source: 'events' });
  }
  return router;
}

/** A prompt of `count` blocks whose hashes are `family` and the position. */
function requestOf(family: number, count: number): RouteRequest {
  const sequence = new Uint32Array(2 * count);
  for (let i = 0; i < count; i++) sequence.set([i + 1, family], 2 * i);
  return {
    prompts: [{ isl: count * blockSize + 1, hashes: [{ blockSize, count, sequence, blockTokens: blockSize }] }],
  };
}

function replicaOf(origin: string, router: Router, epoch = 1): Replica {
  const replica = new Replica({ origin, epoch });
  replica.addPool('model', router);
  return replica;
}

function send(messages: readonly Uint8Array[], to: Replica, nowMs: number): string[] {
  return messages.map((message) => to.receive(message, nowMs));
}

describe('two replicas', () => {
  it('tell each other what they have booked, and when it has ended', () => {
    const [a, b] = [routerOf(), routerOf()];
    const [one, two] = [replicaOf('one', a), replicaOf('two', b)];
    send(one.tick(0), two, 0);
    let due = 0;
    one.onDue = () => due++;
    const routed = a.route(requestOf(7, 10), 1);
    a.route(requestOf(8, 4), 1);
    expect(due).toBe(1);
    expect(send(one.flush(1), two, 2)).toEqual(['applied']);
    if (routed.kind !== 'routed') throw new Error('not routed');
    const { worker } = routed.decision;
    expect(two.origin('one')!.countedOn('model', `http://w${worker}#0`)).toMatchObject({
      activeTokens: 11 * blockSize,
      prefillTokens: 161,
      runningRequests: 1,
    });
    expect(two.view(2).origins[0]).toMatchObject({ runningRequests: 2, promisedPrompts: 2, state: 'here' });
    a.firstToken(routed.bookings[0]!, 3);
    send(one.flush(3), two, 4);
    expect(two.view(4).origins[0]).toMatchObject({ runningRequests: 2, promisedPrompts: 1 });
    a.release(routed.bookings[0]!, 'done', 5);
    send(one.flush(5), two, 5);
    expect(two.view(5).origins[0]).toMatchObject({ runningRequests: 1 });
    expect(send([one.goodbye()], two, 6)).toEqual(['applied']);
    expect(two.view(6)).toMatchObject({
      replicas: 1,
      partial: false,
      origins: [{ runningRequests: 0, state: 'left' }],
    });
  });

  it('forget one that is silent for three gauges', () => {
    const [a, b] = [routerOf(), routerOf()];
    const [one, two] = [replicaOf('one', a), replicaOf('two', b)];
    a.route(requestOf(7, 10), 1);
    send(one.flush(1), two, 1);
    two.tick(751);
    expect(two.view(751)).toMatchObject({ replicas: 2, partial: false });
    two.tick(752);
    expect(two.view(752)).toMatchObject({
      replicas: 1,
      expected: 2,
      partial: true,
      origins: [{ state: 'lost', runningRequests: 0 }],
    });
    expect(b.shared.ownScale).toBe(2);
    two.tick(6000);
    expect(two.view(6000)).toMatchObject({ replicas: 1, expected: 1, partial: false });
    expect(b.shared.ownScale).toBe(1);
    send(one.tick(6001), two, 6001);
    expect(two.view(6001).origins[0]).toMatchObject({ state: 'here', runningRequests: 1 });
  });

  it('follow a worker that is removed and added again', () => {
    const [a, b] = [routerOf(), routerOf()];
    const [one, two] = [replicaOf('one', a), replicaOf('two', b)];
    const routed = a.route(requestOf(7, 10), 1);
    if (routed.kind !== 'routed') throw new Error('not routed');
    const { worker } = routed.decision;
    send(one.flush(1), two, 1);
    b.removeWorker(worker);
    two.tick(2);
    expect(two.view(2).origins[0]).toMatchObject({ runningRequests: 0 });
    b.addWorker({ id: `http://w${worker}#0`, blockSize, capacityBlocks: 1000, source: 'events' });
    two.tick(3);
    expect(two.view(3).origins[0]).toMatchObject({ runningRequests: 1 });
    a.removeWorker(worker);
    send(one.flush(4), two, 4);
    expect(two.view(4).origins[0]).toMatchObject({ runningRequests: 0, promisedPrompts: 0 });
    b.assertConsistent();
  });
});
