// Requests a replay of an engine's KV events, without any code of the gateway.

import { Dealer } from 'zeromq';

const answerMsMax = 2000;
const endMark = Buffer.alloc(8, 0xff);

export interface ReplayedBatch {
  readonly seq: number;
  readonly payload: Buffer;
}

/** Batches from `fromSeq` on, then `end`; without `end` the engine stopped answering. */
export async function* replay(endpoint: string, fromSeq: number): AsyncGenerator<ReplayedBatch | 'end'> {
  const socket = new Dealer({ linger: 0, receiveTimeout: answerMsMax, receiveHighWaterMark: 0 });
  try {
    socket.connect(endpoint);
    const from = Buffer.alloc(8);
    from.writeBigUInt64BE(BigInt(fromSeq));
    await socket.send(['', from]);
    for (;;) {
      // Some releases send the topic first.
      const [seq, payload] = (await socket.receive()).slice(-2) as [Buffer, Buffer];
      if (endMark.equals(seq)) return yield 'end';
      yield { seq: Number(seq.readBigUInt64BE()), payload };
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  } finally {
    socket.close();
  }
}

/**
 * Whether no batch after `seq` is published or queued: between two replays a publisher processes its queue.
 */
export async function isLast(endpoint: string, seq: number): Promise<boolean> {
  for (let time = 1; time <= 2; time++) {
    for await (const reply of replay(endpoint, seq + 1)) if (reply !== 'end') return false;
  }
  return true;
}
