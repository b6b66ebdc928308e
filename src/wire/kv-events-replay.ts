// The frames of a replay: a request for kept batches, one reply a batch, an end marker; with a topic or, before vLLM 0.26, without.

import { type KvFrames, readSeq, writeSeq } from './kv-events-frames.ts';

/** `null` where frames are neither a batch nor the end. */
export type KvReplayReply = KvFrames | { readonly kind: 'end' } | null;

const endSeq = Buffer.alloc(8, 0xff);

/** As a DEALER sends it. */
export function writeReplayRequest(fromSeq: number): (string | Uint8Array)[] {
  return ['', writeSeq(fromSeq)];
}

/** As a ROUTER receives it, the sender's identity first. @returns null for anything else */
export function readReplayRequest(
  frames: readonly Uint8Array[],
): { readonly identity: Uint8Array; readonly fromSeq: number } | null {
  const [identity, empty, seq] = frames;
  if (frames.length !== 3 || identity === undefined || empty?.length !== 0 || seq === undefined) return null;
  const fromSeq = readSeq(seq);
  return fromSeq === null ? null : { identity, fromSeq };
}

/** Read from their end: the payload is last, its number before it, whatever stands in front. */
export function readReplayReply(frames: readonly Uint8Array[]): KvReplayReply {
  const payload = frames.at(-1);
  const seqBytes = frames.at(-2);
  if (payload === undefined || seqBytes === undefined) return null;
  if (payload.length === 0 && endSeq.equals(seqBytes)) return { kind: 'end' };
  const seq = readSeq(seqBytes);
  if (seq === null) return null;
  const topic = frames.length < 4 ? '' : Buffer.from(frames.at(-3)!).toString('utf8');
  return { kind: 'frames', topic, seq, payload };
}

/** @param withTopic false: the form before vLLM 0.26, and of SGLang */
export function writeReplayEnd(withTopic: boolean): (string | Uint8Array)[] {
  return [...(withTopic ? [''] : []), endSeq, ''];
}
