// Asks a publisher of KV events for the batches that it still keeps.

import { Dealer } from 'zeromq';
import { type KvFrames, readReplayReply, writeReplayRequest } from '../wire/kv-events.ts';

/** Without a further message for so long the publisher is taken not to answer. */
const replyMsMax = 2000;
/** A longer replay is given up. A ring of 10,000 batches takes a second or two. */
const replayMsMax = 120_000;
/** Replies that wait to be read. */
const waitingRepliesMax = 100_000;

/** The publisher did not answer to the end. */
export class ReplayError extends Error {
  override readonly name = 'ReplayError';
}

/**
 * Every kept batch numbered `fromSeq` or higher, in order.
 * @param signal gives it up
 * @throws ReplayError
 */
export async function* replayBatches(
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
  const timer = setTimeout(close, replayMsMax);
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
    clearTimeout(timer);
    signal.removeEventListener('abort', close);
    socket.close();
  }
}
