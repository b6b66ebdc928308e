import { Duplex } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageChannel } from '../../../src/gateway/fronts/message-channel.ts';
import { eventually } from '../../e2e/harness.ts';

/** One end of a connection whose bytes the test moves. */
class End extends Duplex {
  readonly sent: Buffer[] = [];
  #more: (() => void) | null = null;
  held = false;

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.sent.push(bytes);
    if (this.held) this.#more = done;
    else done();
  }

  release(): void {
    this.held = false;
    this.#more?.();
  }
}

function open(end = new End()) {
  const got: unknown[] = [];
  const lost: string[] = [];
  const callbacks = {
    receive: (message: unknown) => void got.push(message),
    lost: (why: string) => void lost.push(why),
  };
  return { end, got, lost, channel: new MessageChannel<unknown, unknown>(end, callbacks) };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a channel', () => {
  it('writes the messages of a turn as one frame', async () => {
    const { end, channel } = open();
    channel.post('a');
    channel.post({ hashes: new Uint32Array([1, 2]) });
    await turn();
    channel.post('b');
    await turn();
    expect(end.sent).toHaveLength(2);
  });

  it('reads messages however their bytes are cut', async () => {
    const message = fc.record({ text: fc.string(), words: fc.uint32Array(), list: fc.array(fc.integer()) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(message)), fc.array(fc.integer({ min: 1, max: 40 })), async (turns, cuts) => {
        const sender = open();
        for (const messages of turns) {
          for (const one of messages) sender.channel.post(one);
          await turn();
        }
        const receiver = open();
        let rest = Buffer.concat(sender.end.sent);
        for (const length of cuts) {
          receiver.end.push(rest.subarray(0, length));
          rest = rest.subarray(length);
        }
        receiver.end.push(rest);
        await eventually(() => receiver.got.length === turns.flat().length);
        expect(receiver.got).toEqual(turns.flat());
      }),
      { numRuns: 50 },
    );
  });

  it('writes nothing while the other side does not read, then all in one frame', async () => {
    const { end, channel } = open();
    end.held = true;
    channel.post('x'.repeat(100_000));
    await turn();
    for (let i = 0; i < 5; i++) {
      channel.post(i);
      await turn();
    }
    expect(end.sent).toHaveLength(1);
    const drained = channel.drained();
    end.release();
    await drained;
    expect(end.sent).toHaveLength(2);
  });

  it('tells once that the other side is gone, and then drops what is posted', async () => {
    const { end, channel, lost } = open();
    end.destroy(new Error('gone'));
    await eventually(() => lost.length > 0);
    channel.post('a');
    await channel.drained();
    await turn();
    expect([lost, end.sent]).toEqual([['gone'], []]);
  });

  it('ends at a frame that is no frame', async () => {
    const { end, got, lost } = open();
    end.push(Buffer.from([255, 255, 255, 255, 1]));
    await eventually(() => lost.length > 0);
    expect(got).toEqual([]);
    const broken = open();
    broken.end.push(Buffer.from([2, 0, 0, 0, 7, 7]));
    await eventually(() => broken.lost.length > 0);
    expect(broken.got).toEqual([]);
  });
});
