import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Publisher, Router } from 'zeromq';
import { type FeedBreak, KvFeed } from '../../src/gateway/kv-feed.ts';
import { encodeKvBatch, type KvBatch, writeKvFrames } from '../../src/wire/kv-events.ts';
import { eventually } from '../e2e/harness.ts';

let publisher: Publisher;
let endpoint: string;
let feed: KvFeed;
let seen: (number | FeedBreak)[];

async function publish(seq: number, payload: Uint8Array = encodeKvBatch(seq, 0, [])): Promise<void> {
  await publisher.send(writeKvFrames('', seq, payload));
}

beforeEach(async () => {
  publisher = new Publisher({ linger: 0 });
  await publisher.bind('tcp://127.0.0.1:*');
  endpoint = publisher.lastEndpoint!;
  seen = [];
  feed = new KvFeed(
    { endpoint, topic: '', replayEndpoint: null },
    {
      batch: (batch: KvBatch) => seen.push(batch.timestampS),
      broken: (reason) => seen.push(reason),
    },
  );
});
afterEach(() => {
  feed.close();
  publisher.close();
});

/** Connected, and the publisher knows of the subscription: it has sent a batch that came. */
async function follow(): Promise<void> {
  feed.open();
  await feed.whenCurrent(5000);
  await eventually(async () => {
    await publisher.send(['', 'probe']);
    return feed.status.malformed > 0;
  });
}

describe('KvFeed', () => {
  it('says how it stands: connecting, silent, live, closed', async () => {
    expect(feed.status).toMatchObject({ endpoint, state: 'connecting', lastSeq: -1 });
    feed.open();
    await feed.whenCurrent(5000);
    expect(feed.status.state).toBe('silent');
    await eventually(async () => {
      await publish(0);
      return feed.status.state === 'live';
    });
    feed.close();
    expect(feed.status.state).toBe('closed');
  });

  it('hands on batches in order, and tells gaps and restarts ahead of the batch that shows them', async () => {
    await follow();
    for (const seq of [0, 1, 4, 5, 0, 1]) await publish(seq);
    await eventually(() => feed.status.batches === 6);
    expect(seen).toEqual([0, 1, 'gap', 4, 5, 'restart', 0, 1]);
    expect(feed.status).toMatchObject({ lastSeq: 1, gaps: 1, restarts: 1, lostBatches: 2 });
  });

  it('counts what it cannot read, and takes an unreadable batch for a lost one', async () => {
    await follow();
    await publish(0);
    await eventually(() => feed.status.lastSeq === 0);
    const { malformed } = feed.status;
    await publisher.send(['one', 'two', 'three', 'four']);
    await publisher.send(['', 'short', Buffer.alloc(1)]);
    await publish(1, Buffer.from([0xc1]));
    await publish(2);
    await eventually(() => feed.status.lastSeq === 2);
    expect(seen).toEqual([0, 'gap', 2]);
    expect(feed.status.malformed).toBe(malformed + 3);
  });

  it('does not take a new publisher that was announced for a loss', async () => {
    await follow();
    await publish(7);
    await eventually(() => feed.status.lastSeq === 7);
    feed.expectNewPublisher();
    await publish(8);
    await eventually(() => feed.status.lastSeq === 8);
    expect(seen).toEqual([7, 8]);
    expect(feed.status).toMatchObject({ gaps: 0, restarts: 0 });
  });

  it('follows a publisher that comes up later, and one that comes back', async () => {
    publisher.close();
    feed.open();
    await feed.whenCurrent(50);
    expect(feed.status.state).toBe('connecting');
    for (const round of [1, 2]) {
      publisher = new Publisher({ linger: 0 });
      await eventually(async () => {
        try {
          await publisher.bind(endpoint);
          return true;
        } catch {
          // The port of a closed publisher becomes free a moment later.
          return false;
        }
      });
      await eventually(async () => {
        await publish(round * 10);
        return seen.includes(round * 10);
      });
      publisher.close();
      await eventually(() => feed.status.state === 'connecting');
    }
  });
});

describe('KvFeed with replay', () => {
  let router: Router;
  let requested: number[];
  /** Batches that the publisher still keeps. */
  let kept: number[];
  let withTopic: boolean;

  beforeEach(async () => {
    router = new Router({ linger: 0 });
    await router.bind('tcp://127.0.0.1:*');
    requested = [];
    kept = [];
    withTopic = true;
    void serve();
    feed.close();
    feed = new KvFeed(
      { endpoint, topic: '', replayEndpoint: router.lastEndpoint },
      { batch: ({ timestampS }) => seen.push(timestampS), broken: (reason) => seen.push(reason) },
    );
  });
  afterEach(() => {
    router.close();
  });

  async function serve(): Promise<void> {
    for await (const [identity, empty, start] of router) {
      const from = Number(start!.readBigUInt64BE());
      requested.push(from);
      for (const seq of kept.filter((number) => number >= from)) {
        const [topic, seqBytes, payload] = writeKvFrames('kv', seq, encodeKvBatch(seq, 0, []));
        await router.send([identity!, empty!, ...(withTopic ? [topic] : []), seqBytes, payload]);
      }
      await router.send([identity!, empty!, ...(withTopic ? [''] : []), Buffer.alloc(8, 0xff), '']);
    }
  }

  for (const topic of [true, false]) {
    it(`catches up before it goes on live, ${topic ? 'with' : 'without'} a topic in the replies`, async () => {
      withTopic = topic;
      kept = [0, 1, 2];
      feed.open();
      await feed.whenCurrent(5000);
      expect(seen).toEqual([0, 1, 2]);
      await follow();
      for (const seq of [2, 3]) await publish(seq);
      await eventually(() => feed.status.lastSeq === 3);
      expect(seen).toEqual([0, 1, 2, 3]);
      expect(requested).toEqual([0]);
      expect(feed.status).toMatchObject({ replayedBatches: 3, lostBatches: 0, gaps: 0, restarts: 0, failedReplays: 0 });
    });
  }

  it('fills a gap, and keeps the order of what came meanwhile', async () => {
    await follow();
    await publish(0);
    await eventually(() => feed.status.lastSeq === 0);
    kept = [0, 1, 2, 3];
    for (const seq of [3, 4, 5]) await publish(seq);
    await eventually(() => feed.status.lastSeq === 5);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(requested).toEqual([0, 1]);
    expect(feed.status).toMatchObject({ gaps: 0, lostBatches: 0 });
  });

  it('tells of a gap that the publisher can not fill any more', async () => {
    await follow();
    await publish(0);
    await eventually(() => feed.status.lastSeq === 0);
    kept = [5, 6];
    await publish(7);
    await eventually(() => feed.status.lastSeq === 7);
    expect(seen).toEqual([0, 'gap', 5, 6, 7]);
    expect(feed.status).toMatchObject({ gaps: 1, lostBatches: 4 });
  });

  it('starts anew after a restart, with what the new publisher has sent before', async () => {
    kept = [0, 1, 2, 3, 4];
    await follow();
    await publish(5);
    await eventually(() => feed.status.lastSeq === 5);
    seen.length = 0;
    kept = [0, 1, 2];
    await publish(2);
    await eventually(() => feed.status.lastSeq === 2);
    expect(seen).toEqual(['restart', 0, 1, 2]);
    await publish(3);
    await eventually(() => feed.status.lastSeq === 3);
    expect(seen).toEqual(['restart', 0, 1, 2, 3]);
    expect(feed.status).toMatchObject({ restarts: 1, gaps: 0, lostBatches: 0 });
  });
});
