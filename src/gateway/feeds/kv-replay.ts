// Asks a publisher of KV events for the batches that it still keeps, and again for what its socket has dropped.

import { Dealer } from 'zeromq';
import { type KvFrames, readReplayReply, writeReplayRequest } from '../../wire/kv-events.ts';

/** Without a further message for so long the publisher is taken not to answer, or its last ones to be dropped. */
const replyMsMax = 2000;
/** A longer replay is given up. A ring of 10,000 batches takes a second or two. */
const replayMsMax = 120_000;
/** Replies that wait to be read. */
const waitingRepliesMax = 100_000;
/** What is missing after so many requests is passed over. */
const requestsMax = 50;

/** The publisher did not answer to the end. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
}

/**
 * Every kept batch numbered `fromSeq` or higher, in order.
 *
 * On a busy machine vLLM sends faster than its socket does, and that drops what exceeds its queue of 1,000 messages:
 * batches in between, or the end mark. So what is missing behind a batch that came is asked for again; what a publisher
 * does not begin with even then, it does not have.
 * @param signal gives it up
 * @throws ReplayError
 */
export async function* replayBatches(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
): AsyncGenerator<KvFrames, void, void> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  const timer = setTimeout(end, replayMsMax);
  signal.addEventListener('abort', end, { once: true });
  try {
    if (signal.aborted) end();
    yield* repliesInFull(endpoint, fromSeq, ended.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

async function* repliesInFull(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
): AsyncGenerator<KvFrames, void, void> {
  let nextSeq = fromSeq;
  for (let request = 1; ; request++) {
    let came = false;
    let dropped = false;
    try {
      for await (const frames of repliesTo(endpoint, nextSeq, signal)) {
        dropped = came && frames.seq > nextSeq && request < requestsMax;
        if (dropped) break;
        came = true;
        nextSeq = frames.seq + 1;
        yield frames;
      }
      if (!dropped) return;
    } catch (error) {
      if (!(error instanceof ReplayError) || !came || signal.aborted || request >= requestsMax) throw error;
    }
  }
}

/** The replies to one request, without what the publisher's socket has dropped of them. @throws ReplayError */
async function* repliesTo(
  endpoint: string,
  fromSeq: number,
  signal: AbortSignal,
): AsyncGenerator<KvFrames, void, void> {
  if (signal.aborted) throw new ReplayError('given up before it began');
  const socket = new Dealer({
    linger: 0,
    receiveTimeout: replyMsMax,
    sendTimeout: replyMsMax,
    receiveHighWaterMark: waitingRepliesMax,
  });
  const close = (): void => socket.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    socket.connect(endpoint);
    await socket.send(writeReplayRequest(fromSeq));
    for (;;) {
      const reply = readReplayReply(await socket.receive());
      if (reply?.kind === 'end') return;
      if (reply !== null) yield reply;
    }
  } catch (error) {
    // EAGAIN: no answer in time; EBADF: the socket was closed on the way.
    const { code } = error as NodeJS.ErrnoException;
    if (!socket.closed && code !== 'EAGAIN') throw error;
    throw new ReplayError(`${endpoint} does not answer within ${socket.closed ? replayMsMax : replyMsMax} ms`);
  } finally {
    signal.removeEventListener('abort', close);
    socket.close();
  }
}
