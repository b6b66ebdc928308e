import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../src/cluster/byte-writer.ts';
import { writeAdded, writeGauge, writeHead, writeTable } from '../../src/cluster/encode-message.ts';
import { Replica } from '../../src/cluster/index.ts';
import { createPolicy } from '../../src/core/policies/catalogue.ts';
import { Router } from '../../src/core/router.ts';
import { noLoad } from '../../src/core/shared-load.ts';
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

  it('send a gauge that is due soon with a message about changes, and otherwise when it is due', () => {
    const router = routerOf();
    const replica = replicaOf('one', router);
    const lengths: number[] = [];
    for (const nowMs of [0, 100, 199, 200, 450]) {
      if (nowMs > 0 && nowMs < 450) router.route(requestOf(nowMs, 4), nowMs);
      lengths.push(replica.flush(nowMs).length, replica.tick(nowMs).length);
    }
    // Nothing has changed at first: a gauge alone. It is sent each 250 ms then, or from 200 ms on with a change.
    expect(lengths).toEqual([0, 1, 1, 0, 1, 0, 2, 0, 0, 1]);
    expect(replica.view(450).sent).toMatchObject({ gauges: 3, deltas: 3 });
  });

  it('ask to be heard again when a prompt may be new to all workers, once a message', () => {
    const router = routerOf();
    const replica = replicaOf('one', router);
    const due: boolean[] = [];
    replica.onDue = () => due.push(replica.isUrgent);
    router.route(requestOf(7, 4), 1);
    router.route(requestOf(8, 16), 1);
    router.route(requestOf(9, 16), 1);
    expect(due).toEqual([false, true]);
    replica.flush(1);
    expect(replica.isUrgent).toBe(false);
    router.route(requestOf(6, 16), 2);
    expect(due).toEqual([false, true, false, true]);
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

  it('count what both have in common once, until the request of either ends', () => {
    const [a, b] = [routerOf(1), routerOf(1)];
    const [one, two] = [replicaOf('one', a), replicaOf('two', b)];
    send(one.tick(0), two, 0);
    const routed = a.route(requestOf(7, 10), 1);
    const own = b.route(requestOf(7, 10), 1);
    if (routed.kind !== 'routed' || own.kind !== 'routed') throw new Error('not routed');
    send(one.flush(1), two, 2);
    expect(b.load(0)).toMatchObject({ activeBlocks: 11, othersBlocks: 1, commonBlocks: 10 });
    a.firstToken(routed.bookings[0]!, 3);
    send(one.flush(3), two, 3);
    expect(b.load(0)).toMatchObject({ activeBlocks: 11, othersBlocks: 1, commonBlocks: 10 });
    b.release(own.bookings[0]!, 'done', 4);
    expect(b.load(0)).toMatchObject({ activeBlocks: 0, othersBlocks: 11, commonBlocks: 0 });
    expect(two.view(4).origins[0]).toMatchObject({ promisedPrompts: 0, runningPrompts: 1 });
    a.release(routed.bookings[0]!, 'done', 5);
    // That message is lost.
    one.flush(5);
    send(one.tick(251), two, 251);
    expect(two.view(251).origins[0]).toMatchObject({ promisedPrompts: 0, runningPrompts: 0 });
    expect(b.shared.common.isEmpty).toBe(true);
  });
});

describe('a replica of the version before, whose gauges end with the prompts that are being computed', () => {
  const table = { version: 1, pools: ['model'], workers: [{ pool: 0, worker: 'http://w0#0' }] };
  const totals = [{ at: 0, ...noLoad, activeTokens: 11 * blockSize, runningRequests: 1 }];

  function gaugeOf(sequence: number, computing: readonly number[], running: readonly number[] | null): Uint8Array {
    const writer = new ByteWriter();
    writeTable(writer, table);
    const tableBytes = writer.take();
    writer.clear();
    writeHead(writer, 'gauge', { origin: 'old', epoch: 1, sequence });
    const lists = { computing: [computing], running: running && [running] };
    writeGauge(writer, { kind: 'gauge', about: '0.1', table, totals, ...lists }, tableBytes);
    return writer.take();
  }

  it('reads the same in newer gauges, and no further', () => {
    const [older, newer] = [gaugeOf(1, [3, 5], null), gaugeOf(1, [3, 5], [1, 2])];
    expect([...newer.subarray(0, older.length)]).toEqual([...older]);
  });

  it('never tells when a computed prompt ends, so nothing of it is kept', () => {
    const router = routerOf(1);
    const replica = replicaOf('new', router);
    replica.receive(gaugeOf(1, [], null), 0);
    const writer = new ByteWriter();
    writeHead(writer, 'delta', { origin: 'old', epoch: 1, sequence: 2 });
    const [noTotals, noneComputed, noneEnded] = [0, 0, 0];
    for (const word of [table.version, noTotals, noneComputed, noneEnded]) writer.integer(word);
    const sequence = Uint32Array.from([1, 7, 2, 7]);
    writeAdded(writer, { at: 0, number: 4, blockSize, sampled: true }, sequence, 2);
    expect(replica.receive(writer.take(), 1)).toBe('applied');
    expect(replica.view(1).origins[0]).toMatchObject({ promisedPrompts: 1, runningPrompts: 0, runningRequests: 1 });
    writer.clear();
    writeHead(writer, 'delta', { origin: 'old', epoch: 1, sequence: 3 });
    const [oneComputed, pool, number] = [1, 0, 4];
    for (const word of [table.version, noTotals, oneComputed, pool, number, noneEnded]) writer.integer(word);
    replica.receive(writer.take(), 2);
    expect(replica.view(2).origins[0]).toMatchObject({ promisedPrompts: 0, runningPrompts: 0, runningRequests: 1 });
    expect(router.shared.common.isEmpty).toBe(true);
    expect(router.shared.lingering).toBe(1);
  });
});
