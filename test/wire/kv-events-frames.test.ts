// The ZMQ frames around batches of KV events, live and replayed.

import { describe, expect, it } from 'vitest';
import {
  readKvFrames,
  readReplayReply,
  readReplayRequest,
  writeKvFrames,
  writeReplayEnd,
  writeReplayRequest,
} from '../../src/wire/kv-events.ts';
import captures from '../golden/kv-event-captures.json' with { type: 'json' };
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };

describe('frames', () => {
  it('round-trip', () => {
    const payload = Buffer.from('80', 'hex');
    const [topic, seq] = writeKvFrames('kv', 2 ** 40 + 3, payload);
    expect(readKvFrames([Buffer.from(topic), seq, payload])).toEqual({
      kind: 'frames',
      topic: 'kv',
      seq: 2 ** 40 + 3,
      payload,
    });
  });

  it.each(Object.values(captures).flat())(
    'number a captured batch as captured: $what',
    ({ topic, seqHex, payloadHex }) => {
      const frames = [Buffer.from(topic), Buffer.from(seqHex, 'hex'), Buffer.from(payloadHex, 'hex')];
      const read = readKvFrames(frames);
      if (read.kind !== 'frames') throw new Error(read.reason);
      expect(writeKvFrames(read.topic, read.seq, read.payload)[1].toString('hex')).toBe(seqHex);
    },
  );

  it('are refused with a reason', () => {
    const bytes = Buffer.alloc(8);
    expect(readKvFrames([bytes, bytes])).toEqual({ kind: 'failed', reason: 'frame-count' });
    expect(readKvFrames([bytes, bytes, bytes, bytes])).toEqual({ kind: 'failed', reason: 'frame-count' });
    expect(readKvFrames([bytes, Buffer.alloc(7), bytes])).toEqual({ kind: 'failed', reason: 'seq' });
    expect(readKvFrames([bytes, Buffer.alloc(8, 0xff), bytes])).toEqual({ kind: 'failed', reason: 'seq' });
  });
});

describe('replay frames', () => {
  for (const [version, transcript] of Object.entries(golden.replay)) {
    it(`equal those captured from ${version}`, () => {
      const frames = (hex: readonly string[]): Buffer[] => hex.map((frame) => Buffer.from(frame, 'hex'));
      const hexOf = (list: readonly (string | Uint8Array)[]) => list.map((one) => Buffer.from(one).toString('hex'));
      const [, seqHex] = transcript.requestHex;
      const seq = Number(`0x${seqHex}`);
      expect(hexOf(writeReplayRequest(seq))).toEqual(transcript.requestHex);
      expect(readReplayRequest([Buffer.from('id'), ...frames(transcript.requestHex)])).toMatchObject({ fromSeq: seq });
      const reply = readReplayReply(frames(transcript.dataHex));
      expect(reply).toMatchObject({ kind: 'frames', seq, topic: version === 'v0.32' ? 'kv-events' : '' });
      expect(readReplayReply(frames(transcript.endHex))).toEqual({ kind: 'end' });
      expect(hexOf(['', ...writeReplayEnd(version === 'v0.32')])).toEqual(transcript.endHex);
    });
  }

  it('are recognized as invalid', () => {
    expect(readReplayReply([])).toBeNull();
    expect(readReplayReply([Buffer.alloc(0), Buffer.alloc(3), Buffer.alloc(1)])).toBeNull();
    expect(readReplayReply([Buffer.alloc(8, 0xff), Buffer.alloc(1)])).toBeNull();
    expect(readReplayRequest([Buffer.from('id'), Buffer.alloc(8)])).toBeNull();
    expect(readReplayRequest([Buffer.from('id'), Buffer.from('x'), Buffer.alloc(8)])).toBeNull();
    expect(readReplayRequest([Buffer.from('id'), Buffer.alloc(0), Buffer.alloc(8, 0xff)])).toBeNull();
  });
});
