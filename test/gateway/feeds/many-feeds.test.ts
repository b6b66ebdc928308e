// A thousand feeds, and publishers of other implementations.

import { afterEach, describe, expect, it } from 'vitest';
import { FeedCommons } from '../../../src/gateway/feeds/feed-commons.ts';
import { KvFeed } from '../../../src/gateway/feeds/kv-feed.ts';
import { encodeKvBatch } from '../../../src/wire/kv-events.ts';
import { size } from '../../attack/attack-size.ts';
import { eventually } from '../../e2e/harness.ts';
import { handshakeOf, RawPublisher } from './raw-publisher.ts';
import { unheard } from './unheard.ts';

const commons = new FeedCommons(() => performance.now());
const payload = encodeKvBatch(0, 0, []);
let feeds: KvFeed[] = [];
let publishers: RawPublisher[] = [];

afterEach(() => {
  for (const feed of feeds) feed.close();
  for (const publisher of publishers) publisher.close();
  feeds = [];
  publishers = [];
});

function publisher(): RawPublisher {
  const one = new RawPublisher();
  publishers.push(one);
  return one;
}

function follow(endpoint: string, mode: 'connect' | 'bind' = 'connect', topic = ''): KvFeed {
  const listener = {
    ...unheard,
    batch: () => undefined,
    event: () => undefined,
    skipped: () => undefined,
    broken: () => undefined,
  };
  const feed = new KvFeed({ mode, endpoint, topic, replayEndpoint: null }, listener, commons);
  feeds.push(feed);
  feed.open();
  return feed;
}

describe('a thousand feeds', () => {
  it('each have a connection, and receive from their publisher', async () => {
    const endpoints = await Promise.all(Array.from({ length: 10 }, () => publisher().listen()));
    for (let i = 0; i < 1000; i++) follow(endpoints[i % endpoints.length]!);
    await eventually(() => feeds.every(({ status }) => status.publishers === 1), 20_000);
    for (const one of publishers) one.publish('', 0, payload);
    await eventually(() => feeds.every(({ status }) => status.batches === 1), 20_000);
    expect(new Set(feeds.map(({ status }) => `${status.publishers} ${status.disconnects} ${status.error}`))).toEqual(
      new Set(['1 0 null']),
    );
  }, 60_000);
});

describe('a publisher that never answers a PING', () => {
  // go-zeromq's publisher disconnects after unanswered heartbeats: a feed was cut after 20 s.
  it('gets none, and stays connected', async () => {
    const silent = publisher();
    const feed = follow(await silent.listen());
    await eventually(() => feed.status.publishers === 1);
    await new Promise((resolve) => setTimeout(resolve, size(40_000, 6000)));
    silent.publish('', 0, payload);
    await eventually(() => feed.status.batches === 1);
    expect(silent.received.includes('PING')).toBe(false);
    expect(feed.status).toMatchObject({ disconnects: 0, publishers: 1, isDead: false });
  }, 60_000);

  it('is answered when it sends its own', async () => {
    const pinging = publisher();
    const feed = follow(await pinging.listen());
    await eventually(() => feed.status.publishers === 1);
    pinging.write(Buffer.from('\x04\x0a\x04PING\0\x0aabc', 'latin1'));
    await eventually(() => pinging.received.includes('PONGabc'));
    expect(feed.status).toMatchObject({ disconnects: 0, publishers: 1, isDead: false });
  });

  it('gets an error if it is another kind of socket', async () => {
    const feed = follow(await publisher().listen(handshakeOf('ROUTER')));
    await eventually(() => feed.status.failure !== null);
    expect(feed.status.failure).toBe('is a ROUTER socket, where a PUB is needed');
  });
});
