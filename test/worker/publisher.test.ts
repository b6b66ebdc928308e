// The publisher of a simulated engine: live batches, replays, and injected faults.

import { afterEach, describe, expect, it } from 'vitest';
import { Dealer, Subscriber } from 'zeromq';
import { readKvFrames, readReplayReply, writeReplayRequest } from '../../src/wire/kv-events.ts';
import { BatchRing } from '../../src/worker/batch-ring.ts';
import { KvPublisher, type KvPublisherOptions, type PublishFault } from '../../src/worker/kv-publisher.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function publisherWith(options: Partial<KvPublisherOptions> = {}): Promise<KvPublisher> {
  const publisher = await KvPublisher.open({
    host: '127.0.0.1',
    port: 0,
    connect: null,
    topic: 'kv',
    format: 'map',
    hashes: 'int',
    replay: 'topic',
    replayPort: 0,
    bufferSteps: 3,
    ...options,
  });
  open.push(publisher);
  return publisher;
}

/** Replies of a replay as [frames, number] up to its end. */
async function replay(publisher: KvPublisher, fromSeq: number): Promise<[frames: number, seq: number | 'end'][]> {
  const dealer = new Dealer({ linger: 0, receiveTimeout: 5000 });
  open.push(dealer);
  dealer.connect(publisher.replayEndpoint!);
  await dealer.send(['nonsense']);
  await dealer.send(writeReplayRequest(fromSeq));
  const replies: [number, number | 'end'][] = [];
  for (;;) {
    const frames = await dealer.receive();
    const reply = readReplayReply(frames)!;
    replies.push([frames.length, reply.kind === 'end' ? 'end' : reply.seq]);
    if (reply.kind === 'end') return replies;
  }
}

describe('replay', () => {
  it('sends the kept batches from a number on, then the end mark', async () => {
    const publisher = await publisherWith();
    expect(await replay(publisher, 0)).toEqual([[4, 'end']]);
    for (let i = 0; i < 5; i++) publisher.publish(i, []);
    expect(publisher.nextSeq).toBe(5);
    expect(await replay(publisher, 0)).toEqual([
      [4, 2],
      [4, 3],
      [4, 4],
      [4, 'end'],
    ]);
    expect(await replay(publisher, 4)).toEqual([
      [4, 4],
      [4, 'end'],
    ]);
    expect(await replay(publisher, 5)).toEqual([[4, 'end']]);
  });

  it('has no topic in its older form', async () => {
    const publisher = await publisherWith({ replay: 'legacy' });
    publisher.publish(0, []);
    expect(await replay(publisher, 0)).toEqual([
      [3, 0],
      [3, 'end'],
    ]);
  });

  it('contains what the live feed has lost', async () => {
    const publisher = await publisherWith({ fault: () => 'drop' });
    publisher.publish(0, []);
    expect(await replay(publisher, 0)).toEqual([
      [4, 0],
      [4, 'end'],
    ]);
  });

  it('can be turned off', async () => {
    const publisher = await publisherWith({ replay: null });
    expect(publisher.replayEndpoint).toBeNull();
    expect(publisher.replayPort).toBeNull();
  });
});

describe('live batches', () => {
  /** Publishes four batches. @returns the numbers of the received ones, relative to the first */
  async function receiveFrom(fault: (index: number) => PublishFault, count: number): Promise<number[]> {
    const subscriber = new Subscriber({ linger: 0, receiveTimeout: 5000 });
    open.push(subscriber);
    await subscriber.bind('tcp://127.0.0.1:*');
    subscriber.subscribe('kv');
    let firstSeq = Number.POSITIVE_INFINITY;
    const publisher = await publisherWith({
      connect: subscriber.lastEndpoint!,
      fault: (seq) => (seq < firstSeq ? 'none' : fault(seq - firstSeq)),
    });
    expect(publisher.port).toBeNull();
    const receive = async (): Promise<number> => {
      const frames = readKvFrames(await subscriber.receive());
      if (frames.kind === 'failed') throw new Error(frames.reason);
      expect(frames.topic).toBe('kv');
      return frames.seq;
    };
    // A publisher sends nothing before it knows the subscription.
    const beat = setInterval(() => publisher.publish(0, []), 10);
    let seen = await receive();
    clearInterval(beat);
    firstSeq = publisher.nextSeq;
    while (seen < firstSeq - 1) seen = await receive();
    for (let i = 0; i < 4; i++) publisher.publish(i, []);
    const seqs: number[] = [];
    while (seqs.length < count) seqs.push((await receive()) - firstSeq);
    return seqs;
  }

  it('go to a subscriber that binds', async () => {
    expect(await receiveFrom(() => 'none', 4)).toEqual([0, 1, 2, 3]);
  });

  it('are dropped, doubled and delayed as requested, but stay in order', async () => {
    const faults: PublishFault[] = [{ delayMs: 20 }, 'drop', 'twice', 'none'];
    expect(await receiveFrom((index) => faults[index]!, 4)).toEqual([0, 2, 2, 3]);
  });
});

describe('BatchRing', () => {
  it('continues with batches added meanwhile, and skips those that were overwritten', () => {
    const ring = new BatchRing(2);
    expect([...ring.from(0)]).toEqual([]);
    ring.add(0, Buffer.alloc(0));
    const seqs: number[] = [];
    for (const { seq } of ring.from(0)) {
      seqs.push(seq);
      if (seq === 0) for (const next of [1, 2, 3]) ring.add(next, Buffer.alloc(0));
    }
    expect(seqs).toEqual([0, 3]);
  });
});
