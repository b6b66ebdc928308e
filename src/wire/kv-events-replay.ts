// The frames of a replay: a request for past batches, one reply per batch, an end marker; replies have no topic before
// vLLM 0.26.

import { type KvFrames, readSeq, writeSeq } from './kv-events-frames.ts';

/** `null`: the frames are neither a batch nor the end marker. */
export type KvReplayReply = KvFrames | { readonly kind: 'end' } | null;

const endSeq = Buffer.alloc(8, 0xff);

/** As a DEALER sends it. */
export function writeReplayRequest(fromSeq: number): (string | Uint8Array)[] {
  return ['', writeSeq(fromSeq)];
}

/** As a ROUTER receives it, with the sender's identity first. @returns null for anything else */
export function readReplayRequest(
  frames: readonly Uint8Array[],
): { readonly identity: Uint8Array; readonly fromSeq: number } | null {
  const [identity, empty, seq] = frames;
  if (frames.length !== 3 || identity === undefined || empty?.length !== 0 || seq === undefined) return null;
  const fromSeq = readSeq(seq);
  return fromSeq === null ? null : { identity, fromSeq };
}

/** Read from the end: the payload is last, the sequence number before it, whatever comes first. */
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

/** @param withTopic false for the form of SGLang, and of vLLM before 0.26 */
export function writeReplayEnd(withTopic: boolean): (string | Uint8Array)[] {
  return [...(withTopic ? [''] : []), endSeq, ''];
}
