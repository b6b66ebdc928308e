// Several publishers that connect to one address, distinguished by their topics.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Publisher } from 'zeromq';
import { FeedCommons } from '../../../src/gateway/feeds/feed-commons.ts';
import { KvFeed } from '../../../src/gateway/feeds/kv-feed.ts';
import { encodeKvBatch, writeKvFrames } from '../../../src/wire/kv-events.ts';
import { eventually } from '../../e2e/harness.ts';
import { freeEndpoint } from './free-endpoint.ts';
import { unheard } from './unheard.ts';

let commons: FeedCommons;
let endpoint: string;
let feeds: KvFeed[];
let publishers: Publisher[];

beforeEach(async () => {
  commons = new FeedCommons(() => performance.now());
  endpoint = await freeEndpoint();
  feeds = [];
  publishers = [];
});
afterEach(() => {
  for (const feed of feeds) feed.close();
  for (const publisher of publishers) publisher.close();
});

/** @param seen receives the timestamp of each batch, in seconds */
function openFeed(topic: string, seen: number[] = [], replayEndpoint: string | null = null): KvFeed {
  const listener = {
    batch: ({ timestampS }: { readonly timestampS: number }) => seen.push(timestampS),
    event: () => {},
    skipped: () => {},
    broken: () => {},
    ...unheard,
  };
  const feed = new KvFeed({ mode: 'bind', endpoint, topic, replayEndpoint }, listener, commons);
  feeds.push(feed);
  feed.open();
  return feed;
}

function publisherHere(): Publisher {
  const publisher = new Publisher({ linger: 0, reconnectInterval: 10 });
  publisher.connect(endpoint);
  publishers.push(publisher);
  return publisher;
}

async function publish(publisher: Publisher, topic: string, seq: number, madeS: number): Promise<void> {
  await publisher.send(writeKvFrames(topic, seq, encodeKvBatch(madeS, 0, [])));
}

/** Sends batches numbered from 0 until the subscription is active and one arrives. @returns the next number */
async function publishUntilHeard(publisher: Publisher, topic: string, feed: KvFeed, madeS: number): Promise<number> {
  let seq = 0;
  await eventually(async () => {
    await publish(publisher, topic, seq++, madeS);
    return feed.status.batches > 0;
  });
  return seq;
}

describe('a bound address with several feeds', () => {
  it('delivers each message to the feed with the longest matching topic', async () => {
    const [seenA, seenB, seenRest]: [number[], number[], number[]] = [[], [], []];
    const a = openFeed('kv@10.0.0.1:8000@m', seenA);
    const b = openFeed('kv@10.0.0.11:8000@m', seenB);
    const rest = openFeed('kv@10.0.0.1', seenRest);
    await publishUntilHeard(publisherHere(), 'kv@10.0.0.1:8000@m', a, 1);
    await publishUntilHeard(publisherHere(), 'kv@10.0.0.11:8000@m', b, 2);
    await publishUntilHeard(publisherHere(), 'kv@10.0.0.12:8000@m', rest, 3);
    expect([new Set(seenA), new Set(seenB), new Set(seenRest)]).toEqual([new Set([1]), new Set([2]), new Set([3])]);
    for (const feed of feeds) expect(feed.status).toMatchObject({ state: 'live', publishers: 1, error: null });
  });

  it('is opened once, and closed with its last feed', async () => {
    const first = openFeed('a');
    const second = openFeed('b');
    const publisher = publisherHere();
    await publishUntilHeard(publisher, 'b', second, 1);
    first.close();
    const { batches } = second.status;
    await publish(publisher, 'b', batches, 1);
    await eventually(() => second.status.batches > batches);
    expect(second.status).toMatchObject({ error: null, publishers: 1 });
    second.close();
    const probe = new Publisher({ linger: 0 });
    await eventually(() =>
      probe.bind(endpoint).then(
        () => true,
        () => false,
      ),
    );
    probe.close();
  });

  it('refuses a topic that another feed has until that feed leaves', async () => {
    const first = openFeed('same');
    const second = openFeed('same');
    expect(second.status).toMatchObject({ publishers: 0, state: 'connecting' });
    expect(second.status.error).toMatch(/same address and topic "same"/);
    const publisher = publisherHere();
    const next = await publishUntilHeard(publisher, 'same', first, 1);
    first.close();
    expect(second.status.error).toBeNull();
    // The address stays open, so the publisher has not connected anew.
    await eventually(async () => {
      await publish(publisher, 'same', next, 2);
      return second.status.batches > 0;
    });
    expect(second.status).toMatchObject({ publishers: 1, disconnects: 0 });
  });

  it('lets a feed that waits for a topic leave', async () => {
    const first = openFeed('same');
    openFeed('same').close();
    const third = openFeed('same');
    first.close();
    expect(third.status.error).toBeNull();
  });

  it('recognizes a topic that is a prefix of two topics', async () => {
    const feed = openFeed('kv@10.0.0.1');
    const [one, other] = [publisherHere(), publisherHere()];
    await publishUntilHeard(one, 'kv@10.0.0.1:8000@m', feed, 1);
    expect(feed.status.publishers).toBe(1);
    await eventually(async () => {
      await publish(other, 'kv@10.0.0.11:8000@m', 0, 2);
      return feed.status.publishers === 2;
    });
  });

  it('counts for a feed without a topic the publishers that no other feed accounts for', async () => {
    openFeed('a');
    const all = openFeed('');
    publisherHere();
    await eventually(() => all.status.publishers === 1);
    publisherHere();
    publisherHere();
    await eventually(() => all.status.publishers === 2);
    for (const publisher of publishers.splice(0)) publisher.close();
    await eventually(() => all.status.publishers === 0);
    expect(all.status.disconnects).toBe(1);
  });

  it('counts no publisher for a feed before its first message, unless there is one for every feed', async () => {
    const [a, b, c] = [openFeed('kv@a'), openFeed('kv@b'), openFeed('kv@c')];
    const first = publisherHere();
    await publishUntilHeard(first, 'kv@a', a, 1);
    publisherHere();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([a, b, c].map(({ status }) => status.publishers)).toEqual([1, 0, 0]);
    const third = publisherHere();
    await eventually(() => b.status.publishers === 1 && c.status.publishers === 1);
    await publishUntilHeard(third, 'kv@c', c, 3);
    expect([a, b, c].map(({ status }) => status.publishers)).toEqual([1, 1, 1]);
    first.close();
    await eventually(() => a.status.publishers === 0 && a.status.disconnects === 1);
    expect(c.status.publishers).toBe(1);
  });

  it('serves a feed while another one waits for a replay that does not arrive', async () => {
    const seen: number[] = [];
    const waiting = openFeed('slow', [], await freeEndpoint());
    const feed = openFeed('quick', seen);
    const publisher = publisherHere();
    const next = await publishUntilHeard(publisher, 'quick', feed, 1);
    await publish(publisher, 'slow', next, 9);
    await eventually(() => waiting.status.replaying);
    for (let seq = next; seq < next + 50; seq++) {
      await publish(publisher, 'slow', seq + 1, 9);
      await publish(publisher, 'quick', seq, 2);
    }
    await eventually(() => seen.filter((madeS) => madeS === 2).length === 50, 10_000);
    expect(waiting.status).toMatchObject({ replaying: true, batches: 0 });
  });
});
