// Asks an engine for its KV events again, with nothing of the gateway's code.

import { Dealer } from 'zeromq';

const answerMsMax = 2000;
const endMark = Buffer.alloc(8, 0xff);

export interface ReplayedBatch {
  readonly seq: number;
  readonly payload: Buffer;
}

/** Batches from `fromSeq` on, then `end`; without an `end` the engine has fallen silent. */
export async function* replay(endpoint: string, fromSeq: number): AsyncGenerator<ReplayedBatch | 'end'> {
  const socket = new Dealer({ linger: 0, receiveTimeout: answerMsMax, receiveHighWaterMark: 0 });
  try {
    socket.connect(endpoint);
    const from = Buffer.alloc(8);
    from.writeBigUInt64BE(BigInt(fromSeq));
    await socket.send(['', from]);
    for (;;) {
      // Some releases put the topic in front.
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
 * Nothing behind `seq` has been published, nor waits for that: between two replays a publisher takes from its queue
 * what is there.
 */
export async function isLast(endpoint: string, seq: number): Promise<boolean> {
  for (let time = 1; time <= 2; time++) {
    for await (const reply of replay(endpoint, seq + 1)) if (reply !== 'end') return false;
  }
  return true;
}
