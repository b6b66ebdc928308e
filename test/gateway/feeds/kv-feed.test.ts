import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Publisher, Router } from 'zeromq';
import type { FeedAddress } from '../../../src/gateway/feeds/feed-address.ts';
import { FeedCommons } from '../../../src/gateway/feeds/feed-commons.ts';
import { KvFeed } from '../../../src/gateway/feeds/kv-feed.ts';
import { PeerGate } from '../../../src/gateway/feeds/peer-gate.ts';
import {
  encodeKvBatch,
  readReplayRequest,
  writeKvFrames,
  writeReplayEnd,
  writeReplayRequest,
} from '../../../src/wire/kv-events.ts';
import { eventually } from '../../e2e/harness.ts';
import { freeEndpoint } from './free-endpoint.ts';
import { unheard } from './unheard.ts';

let publisher: Publisher;
let endpoint: string;
let feed: KvFeed;
const commons = new FeedCommons(() => performance.now());
/** Batches by their timestamp in seconds, and breaks by name. */
let seen: (number | string)[];

async function publish(seq: number, madeS = seq, from = publisher): Promise<void> {
  await from.send(writeKvFrames('', seq, encodeKvBatch(madeS, 0, [])));
}

function feedFrom(address: Partial<FeedAddress>): KvFeed {
  const listener = {
    batch: ({ timestampS }: { readonly timestampS: number }) => seen.push(timestampS),
    event: ({ kind }: { readonly kind: string }) => seen.push(kind),
    skipped: (reason: string) => seen.push(`skipped ${reason}`),
    broken: (reason: string) => seen.push(reason),
    ...unheard,
  };
  const whole: FeedAddress = { mode: 'connect', endpoint, topic: '', replayEndpoint: null, ...address };
  return new KvFeed(whole, listener, commons);
}

beforeEach(async () => {
  publisher = new Publisher({ linger: 0 });
  endpoint = await freeEndpoint();
  await publisher.bind(endpoint);
  seen = [];
  feed = feedFrom({});
});
afterEach(() => {
  feed.close();
  publisher.close();
});

/** Connects, and waits for a first message, so that the subscription is active. */
async function follow(): Promise<void> {
  feed.open();
  await feed.whenCurrent(5000);
  await eventually(async () => {
    await publisher.send(['', 'probe']);
    return feed.status.malformed > 0;
  });
}

/** A new publisher on the closed one's port, which becomes free a moment later. */
async function publisherAgain(): Promise<void> {
  publisher = new Publisher({ linger: 0 });
  await eventually(() =>
    publisher.bind(endpoint).then(
      () => true,
      () => false,
    ),
  );
}

describe('KvFeed', () => {
  it('reports its state: connecting, no batches, live, closed', async () => {
    expect(feed.status).toMatchObject({ endpoint, state: 'connecting', lastSeq: -1 });
    feed.open();
    await feed.whenCurrent(5000);
    expect(feed.status).toMatchObject({ state: 'no-batches', proven: false, publishers: 1 });
    await eventually(async () => {
      await publish(0);
      return feed.status.state === 'live';
    });
    expect(feed.status).toMatchObject({ proven: true, loss: null });
    feed.close();
    expect(feed.status.state).toBe('closed');
  });

  it('delivers batches in order, and reports gaps and restarts before the batch that shows them', async () => {
    await follow();
    for (const seq of [0, 1, 4, 5]) await publish(seq);
    await eventually(() => feed.status.batches === 4);
    expect(feed.status.loss).toEqual({ kind: 'lost-batches', batches: 2 });
    for (const seq of [0, 1]) await publish(seq, 100 + seq);
    await eventually(() => feed.status.batches === 6);
    expect(seen).toEqual([0, 1, 'gap', 4, 5, 'restart', 100, 101]);
    expect(feed.status).toMatchObject({ lastSeq: 1, gaps: 1, restarts: 1, lostBatches: 2, loss: null });
  });

  it('skips redelivered batches, but none of a new publisher', async () => {
    await follow();
    for (const seq of [0, 1, 1, 0, 2]) await publish(seq);
    await publish(2, 102);
    await eventually(() => feed.status.batches === 4);
    expect(seen).toEqual([0, 1, 2, 'restart', 102]);
    expect(feed.status).toMatchObject({ duplicates: 2, restarts: 1, loss: { kind: 'late-join', batches: 2 } });
  });

  it('reports a late join, and accepts 1 as a start', async () => {
    await follow();
    await publish(1);
    await eventually(() => feed.status.batches === 1);
    expect(feed.status.loss).toBeNull();
    feed.publisherGone();
    await publish(7);
    await eventually(() => feed.status.batches === 2);
    expect(feed.status).toMatchObject({ loss: { kind: 'late-join', batches: 7 } });
    expect(seen).toEqual([1, 'restart', 7]);
  });

  it('knows the content of an empty cache', async () => {
    await follow();
    await publish(3);
    await publisher.send(writeKvFrames('', 4, encodeKvBatch(4, 0, [{ kind: 'cleared' }])));
    await eventually(() => feed.status.batches === 2);
    expect(feed.whole).toBe(true);
    expect(seen).toEqual([3, 4, 'cleared']);
  });

  it('counts unreadable batches and events as lost', async () => {
    await follow();
    await publish(0);
    await eventually(() => feed.status.lastSeq === 0);
    const { malformed } = feed.status;
    await publisher.send(['one', 'two', 'three', 'four']);
    await publisher.send(['', 'short', Buffer.alloc(1)]);
    await publisher.send(writeKvFrames('', 1, Buffer.from([0xc1])));
    // [2.0, [7]]: 7 is not an event.
    await publisher.send(writeKvFrames('', 2, Buffer.from('92cb40000000000000009107', 'hex')));
    await publish(3);
    await eventually(() => feed.status.lastSeq === 3);
    expect(seen).toEqual([0, 'malformed', 2, 'skipped malformed', 'malformed', 3]);
    expect(feed.status).toMatchObject({ malformed: malformed + 3, loss: { kind: 'lost-batches' } });
  });

  it('follows a publisher that starts later, and one that returns', async () => {
    await publisher.unbind(endpoint);
    feed.open();
    await feed.whenCurrent(50);
    expect(feed.status.state).toBe('connecting');
    for (const round of [1, 2]) {
      publisher.close();
      await publisherAgain();
      await eventually(async () => {
        await publish(round * 10);
        return seen.includes(round * 10);
      });
      publisher.close();
      await eventually(() => feed.status.state === 'connecting');
      expect(feed.status.disconnects).toBe(round);
    }
  });

  it('binds if the engine connects, and notices two publishers', async () => {
    feed = feedFrom({ mode: 'bind', endpoint: await freeEndpoint() });
    feed.open();
    const publishers = [new Publisher({ linger: 0 }), new Publisher({ linger: 0 })];
    for (const [i, one] of publishers.entries()) {
      one.connect(feed.status.endpoint);
      await eventually(() => feed.status.publishers === i + 1);
    }
    await eventually(async () => {
      await publish(0, 0, publishers[0]!);
      return feed.status.batches > 0;
    });
    for (const one of publishers) one.close();
    await eventually(() => feed.status.publishers === 0);
    expect(feed.status).toMatchObject({ error: null, disconnects: 1 });
  });

  it("reports why it can't bind, and binds once it can", async () => {
    feed = feedFrom({ mode: 'bind', endpoint });
    feed.open();
    await eventually(() => feed.status.error !== null);
    publisher.close();
    await eventually(() => feed.status.error === null);
    publisher = new Publisher({ linger: 0 });
    publisher.connect(endpoint);
    await eventually(() => feed.status.publishers === 1);
    expect(feed.status).toMatchObject({ error: null, endpoint });
  });
});

describe('KvFeed without a publisher', () => {
  const heard = (): (string | number)[] => seen.filter((one) => one !== 'restart');

  function mortalFeed(address: Partial<FeedAddress> = {}): KvFeed {
    const listener = {
      ...unheard,
      batch: ({ timestampS }: { readonly timestampS: number }) => seen.push(timestampS),
      event: () => undefined,
      skipped: () => undefined,
      broken: (reason: string) => seen.push(reason),
      dead: () => seen.push('dead'),
      alive: () => seen.push('alive'),
    };
    const whole: FeedAddress = { mode: 'connect', endpoint, topic: '', replayEndpoint: null, ...address };
    return new KvFeed(whole, listener, new FeedCommons(() => performance.now(), new PeerGate(), 200));
  }

  it('is given up once, and revived by the next publisher with a late join', async () => {
    feed = mortalFeed();
    await follow();
    await publish(0);
    await eventually(() => feed.status.batches === 1);
    publisher.close();
    await eventually(() => feed.status.isDead);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(heard()).toEqual([0, 'dead']);
    await publisherAgain();
    await eventually(() => !feed.status.isDead);
    await eventually(async () => {
      await publish(9, 9);
      return feed.status.lastSeq === 9;
    });
    expect(heard().slice(0, 4)).toEqual([0, 'dead', 'alive', 9]);
    expect(feed.status.loss).toEqual({ kind: 'late-join', batches: 9 });
  });

  it("is given up if no publisher ever connects, or our end can't be opened", async () => {
    for (const address of [
      { mode: 'bind', endpoint: await freeEndpoint() },
      { mode: 'bind', endpoint },
      { mode: 'connect', endpoint: 'tcp://*:5557' },
      { mode: 'connect', endpoint: 'nonsense' },
      { mode: 'connect', endpoint: 'tcp://127.0.0.1:99999' },
    ] as const) {
      feed.close();
      seen = [];
      feed = mortalFeed(address);
      feed.open();
      await eventually(() => feed.status.isDead);
      expect(seen).toEqual(['dead']);
    }
  });

  it("skips the batch that can't be applied, and continues", async () => {
    let isBroken = true;
    const failures: unknown[] = [];
    feed = new KvFeed(
      { mode: 'connect', endpoint, topic: '', replayEndpoint: null },
      {
        ...unheard,
        batch: ({ timestampS }) => {
          if (isBroken) throw new Error('a fault of ours');
          seen.push(timestampS);
        },
        event: () => undefined,
        skipped: () => undefined,
        broken: (reason) => seen.push(reason),
        failed: (error) => failures.push(error),
      },
      commons,
    );
    await follow();
    await publish(0);
    await eventually(() => failures.length === 1);
    isBroken = false;
    await publish(1);
    await eventually(() => seen.includes(1));
    expect(seen).toEqual(['malformed', 1]);
    expect(feed.status).toMatchObject({ failures: 1, loss: { kind: 'lost-batches' } });
  });
});

describe('KvFeed with replay', () => {
  let router: Router;
  let requested: number[];
  /** Batches that the publisher still keeps: number -> timestamp in seconds. */
  let kept: Map<number, number>;
  let withTopic: boolean;
  let mute: boolean;
  /** Batches of one answer that leave the publisher's socket; it drops the rest. */
  let dropsBeyond: number;

  beforeEach(async () => {
    router = new Router({ linger: 0 });
    await router.bind('tcp://127.0.0.1:*');
    requested = [];
    kept = new Map();
    withTopic = true;
    mute = false;
    dropsBeyond = Number.POSITIVE_INFINITY;
    void serve();
    feed = feedFrom({ replayEndpoint: router.lastEndpoint });
  });
  afterEach(() => {
    router.close();
  });

  const keep = (...seqs: number[]): void => {
    kept = new Map(seqs.map((seq) => [seq, seq]));
  };

  async function serve(): Promise<void> {
    for await (const frames of router) {
      const { identity, fromSeq } = readReplayRequest(frames)!;
      requested.push(fromSeq);
      if (mute) continue;
      let sent = 0;
      for (const [seq, madeS] of kept) {
        if (seq < fromSeq || sent >= dropsBeyond) continue;
        sent += 1;
        const frames = writeKvFrames('kv', seq, encodeKvBatch(madeS, 0, []));
        await router.send([identity, '', ...frames.slice(withTopic ? 0 : 1)]);
      }
      await router.send([identity, '', ...writeReplayEnd(withTopic)]);
    }
  }

  for (const topic of [true, false]) {
    it(`catches up before it goes live, ${topic ? 'with' : 'without'} a topic in the replies`, async () => {
      withTopic = topic;
      keep(0, 1, 2);
      feed.open();
      await eventually(() => feed.whole);
      expect(seen).toEqual([0, 1, 2]);
      await follow();
      for (const seq of [2, 3]) await publish(seq);
      await eventually(() => feed.status.lastSeq === 3);
      expect(seen).toEqual([0, 1, 2, 3]);
      expect(requested).toEqual([0]);
      expect(feed.status).toMatchObject({ replayedBatches: 3, lostBatches: 0, gaps: 0, restarts: 0, failedReplays: 0 });
    });
  }

  for (const first of [0, 1]) {
    it(`asks for batches before a first batch 1, and accepts it as the start if the first is ${first}`, async () => {
      await follow();
      keep(...(first === 0 ? [0, 1] : [1]));
      await publish(1);
      await eventually(() => feed.status.lastSeq === 1);
      expect(seen).toEqual([...kept.values()]);
      expect(feed.whole).toBe(true);
    });
  }

  it('is proven by an empty replay', async () => {
    feed.open();
    await eventually(() => feed.whole);
    expect(feed.status).toMatchObject({ state: 'no-batches', lastSeq: -1, loss: null });
  });

  it('fills a gap, and keeps the order of batches that arrive meanwhile', async () => {
    await follow();
    await publish(0);
    await eventually(() => feed.status.lastSeq === 0);
    keep(0, 1, 2, 3);
    for (const seq of [3, 4, 5]) await publish(seq);
    await eventually(() => feed.status.lastSeq === 5);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(requested).toEqual([0, 0]);
    expect(feed.status).toMatchObject({ gaps: 0, lostBatches: 0 });
  });

  it("reports a gap that the publisher can't fill, and an incomplete history", async () => {
    keep(3, 4);
    await follow();
    expect(feed.status.loss).toEqual({ kind: 'late-join', batches: 3 });
    keep(7, 8);
    await publish(9);
    await eventually(() => feed.status.lastSeq === 9);
    expect(seen).toEqual([3, 4, 'gap', 7, 8, 9]);
    expect(feed.status).toMatchObject({ gaps: 1, lostBatches: 5, loss: { kind: 'lost-batches', batches: 2 } });
  });

  it("starts again after a restart, with the new publisher's earlier batches", async () => {
    keep(0, 1, 2, 3, 4);
    await follow();
    await publish(5);
    await eventually(() => feed.status.lastSeq === 5);
    seen.length = 0;
    kept = new Map([0, 1, 2].map((seq) => [seq, 100 + seq]));
    await publish(2, 102);
    await eventually(() => feed.status.lastSeq === 2);
    await publish(3, 103);
    await eventually(() => feed.status.lastSeq === 3);
    expect(seen).toEqual(['restart', 100, 101, 102, 103]);
    expect(feed.status).toMatchObject({ restarts: 1, gaps: 0, lostBatches: 0 });
  });

  for (const [name, newest] of [
    ['behind', 1],
    ['at', 2],
    ['beyond', 6],
  ] as const) {
    it(`recognizes a new publisher by its batches when it returns ${name} the old one's last number`, async () => {
      keep(0, 1, 2);
      await follow();
      publisher.close();
      await eventually(() => feed.status.publishers === 0);
      kept = new Map(Array.from({ length: newest + 1 }, (_, seq) => [seq, 100 + seq]));
      await publisherAgain();
      await eventually(() => feed.status.restarts === 1 && feed.status.lastSeq === newest);
      expect(seen).toEqual([0, 1, 2, 'restart', ...kept.values()]);
    });
  }

  it('continues after a broken connection to the same publisher', async () => {
    keep(0, 1, 2);
    await follow();
    publisher.close();
    await eventually(() => feed.status.publishers === 0);
    keep(0, 1, 2, 3);
    await publisherAgain();
    await eventually(() => feed.status.lastSeq === 3);
    expect(seen).toEqual([0, 1, 2, 3]);
    expect(feed.status).toMatchObject({ restarts: 0, gaps: 0 });
  });

  it('replays everything if blocks have unknown parents, but not repeatedly', async () => {
    keep(0, 1);
    await follow();
    feed.resync();
    await eventually(() => feed.whole);
    expect(seen).toEqual([0, 1, 'resync', 0, 1]);
    feed.resync();
    expect(feed.status).toMatchObject({ loss: { kind: 'orphans' }, resyncs: 1 });
    await publish(2);
    await eventually(() => feed.status.lastSeq === 2);
    expect(requested).toEqual([0, 0]);
    expect(feed.whole).toBe(false);
  });

  it('rebuilds everything when the process is known to have ended, whatever arrived by then', async () => {
    keep(0, 1);
    await follow();
    feed.publisherGone();
    await eventually(() => feed.status.restarts === 1 && feed.whole);
    expect(seen).toEqual([0, 1, 'restart', 0, 1]);
  });

  it('stops waiting for a publisher that does not answer, and goes live', async () => {
    router.close();
    await follow();
    await eventually(() => feed.status.failedReplays === 1);
    for (const seq of [0, 1, 4]) await publish(seq);
    await eventually(() => feed.status.lastSeq === 4);
    expect(seen).toEqual([0, 1, 'gap', 4]);
    expect(feed.status).toMatchObject({
      failedReplays: 1,
      replaying: false,
      loss: { kind: 'lost-batches', batches: 2 },
    });
  });

  it('asks again at once when a publisher returns, although the previous one did not answer', async () => {
    mute = true;
    await follow();
    await eventually(() => feed.status.failedReplays === 1);
    publisher.close();
    await eventually(() => feed.status.publishers === 0);
    mute = false;
    keep(0, 1, 2);
    await publisherAgain();
    await eventually(() => feed.status.lastSeq === 2);
    expect(seen).toEqual([0, 1, 2]);
    expect(feed.whole).toBe(true);
  });

  it('repairs a loss later, once the history is available again', async () => {
    keep(0);
    await follow();
    keep(3);
    await publish(4);
    await eventually(() => feed.status.loss?.kind === 'lost-batches');
    keep(0, 1, 2, 3, 4);
    await eventually(() => feed.whole, 15_000);
    expect(seen).toEqual([0, 'gap', 3, 4, 'resync', 0, 1, 2, 3, 4]);
    expect(feed.status).toMatchObject({ resyncs: 1, loss: null });
  });

  it('finds by itself that the last batches of a quiet feed were lost', async () => {
    keep(0);
    await follow();
    keep(0, 1, 2);
    await eventually(() => feed.status.lastSeq === 2, 15_000);
    expect(seen).toEqual([0, 1, 2]);
    expect(feed.whole).toBe(true);
  });

  it('reconnects if batches arrive only by replay', async () => {
    keep(0);
    await follow();
    await eventually(() => feed.status.lastSeq === 0);
    for (const newest of [1, 2]) {
      // Published on a connection that the publisher has lost.
      keep(...Array.from({ length: newest + 1 }, (_, seq) => seq));
      await eventually(() => feed.status.lastSeq === newest, 30_000);
    }
    await eventually(() => feed.status.stalls === 1 && feed.status.disconnects === 1);
    await eventually(() => feed.status.publishers === 1);
    expect(seen).toEqual([0, 1, 2]);
  }, 60_000);

  it('asks again until the end if the last batches were dropped but not the end mark', async () => {
    keep(...Array.from({ length: 150 }, (_, seq) => seq));
    dropsBeyond = 120;
    feed.open();
    await eventually(() => feed.whole && !feed.status.replaying);
    expect(feed.status.lastSeq).toBe(149);
    expect(requested).toEqual([0, 120]);
  });

  it('writes the request that engines expect', () => {
    const [empty, seq] = writeReplayRequest(0x15);
    expect([empty, Buffer.from(seq as Uint8Array).toString('hex')]).toEqual(['', '0000000000000015']);
  });
});
