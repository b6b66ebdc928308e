// Asks a publisher of KV events for the batches that it still keeps.

import { Dealer } from 'zeromq';

/** Without a further message for so long the publisher is taken not to answer. */
const replyMsMax = 5000;

/**
 * Calls `onBatch` for every kept batch from number `from` on, in order.
 * @param signal ends the wait
 * @returns whether the publisher answered to the end
 */
export async function replayBatches(
  endpoint: string,
  from: number,
  onBatch: (seq: number, payload: Uint8Array) => void | Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const socket = new Dealer({ linger: 0, receiveTimeout: replyMsMax, sendTimeout: replyMsMax });
  const close = (): void => socket.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    socket.connect(endpoint);
    const start = Buffer.alloc(8);
    start.writeBigUInt64BE(BigInt(from));
    await socket.send(['', start]);
    for (;;) {
      const reply = readReply(await socket.receive());
      if (reply === 'end') return true;
      if (reply !== null) await onBatch(reply.seq, reply.payload);
    }
  } catch (error) {
    // Neither an answer in time nor, on a closed socket, any more: the caller goes on without.
    const { code } = error as NodeJS.ErrnoException;
    if (signal.aborted || code === 'EAGAIN' || code === 'EHOSTUNREACH') return false;
    throw error;
  } finally {
    signal.removeEventListener('abort', close);
    socket.close();
  }
}

/** Replies end with number and payload, whether or not a topic goes before. @returns null for what is no reply */
function readReply(frames: readonly Buffer[]): { readonly seq: number; readonly payload: Buffer } | 'end' | null {
  const seqBytes = frames.at(-2);
  const payload = frames.at(-1);
  if (seqBytes?.length !== 8 || payload === undefined) return null;
  const seq = seqBytes.readBigUInt64BE();
  if (seq === 0xffff_ffff_ffff_ffffn && payload.length === 0) return 'end';
  return seq <= BigInt(Number.MAX_SAFE_INTEGER) ? { seq: Number(seq), payload } : null;
}
