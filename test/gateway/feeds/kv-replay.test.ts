import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Router } from 'zeromq';
import { FeedCommons } from '../../../src/gateway/feeds/feed-commons.ts';
import { ReplayError, replayBatches } from '../../../src/gateway/feeds/kv-replay.ts';
import { encodeKvBatch, readReplayRequest, writeReplayEnd } from '../../../src/wire/kv-events.ts';
import { writeSeq } from '../../../src/wire/kv-events-frames.ts';

const commons = new FeedCommons(() => performance.now());

type Sent = number | 'end';

let router: Router;
let closing: AbortController;
/** Start numbers of the requests. */
let asked: number[];

beforeEach(async () => {
  router = new Router({ linger: 0 });
  await router.bind('tcp://127.0.0.1:*');
  closing = new AbortController();
  asked = [];
});
afterEach(() => {
  closing.abort();
  router.close();
});

/** Answers each request with the messages of `script`. */
async function publish(script: (fromSeq: number) => readonly Sent[]): Promise<void> {
  for await (const frames of router) {
    const { identity, fromSeq } = readReplayRequest(frames)!;
    asked.push(fromSeq);
    for (const sent of script(fromSeq)) {
      await router.send(
        sent === 'end'
          ? [identity, '', ...writeReplayEnd(true)]
          : [identity, '', '', writeSeq(sent), encodeKvBatch(sent, 0, [])],
      );
    }
  }
}

async function replayed(fromSeq: number): Promise<number[]> {
  const seqs: number[] = [];
  for await (const { seq } of replayBatches(router.lastEndpoint!, fromSeq, closing.signal, commons)) seqs.push(seq);
  return seqs;
}

describe('replayBatches', () => {
  it("asks again for batches that vLLM's socket dropped, as seen with 0.23.0 under load", async () => {
    const dropped = new Set([2, 3, 6]);
    void publish((fromSeq) => {
      const kept = [0, 1, 2, 3, 4, 5, 6, 7].filter((seq) => seq >= fromSeq);
      return [...kept.filter((seq) => seq === fromSeq || !dropped.has(seq)), 'end'];
    });
    expect(await replayed(0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(asked).toEqual([0, 2, 3, 6]);
  });

  it('asks again if the end mark was dropped', async () => {
    void publish((fromSeq) => (fromSeq === 0 ? [0, 1] : ['end']));
    expect(await replayed(0)).toEqual([0, 1]);
    expect(asked).toEqual([0, 2]);
  });

  it('skips batches that the publisher no longer has', async () => {
    void publish((fromSeq): Sent[] => [...[5, 6, 9].filter((seq) => seq >= fromSeq), 'end']);
    expect(await replayed(2)).toEqual([5, 6, 9]);
    expect(asked).toEqual([2, 7]);
  });

  it('gives up on a publisher that does not answer, or stops answering', async () => {
    void publish((fromSeq) => (fromSeq === 0 ? [0] : []));
    await expect(replayed(0)).rejects.toThrow(ReplayError);
    expect(asked).toEqual([0, 1]);
    closing.abort();
    await expect(replayed(0)).rejects.toThrow(ReplayError);
  });
});
