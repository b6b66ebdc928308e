// The three ZMQ frames of a batch of KV events: topic, sequence number, payload.

export interface KvFrames {
  readonly kind: 'frames';
  readonly topic: string;
  /** Starts at 0 and rises by one per batch, for each publisher. */
  readonly seq: number;
  readonly payload: Uint8Array;
}

/**
 * `frame-count`: not three frames. `seq`: not eight bytes, or not a safe integer (the end marker of a replay is all
 * ones).
 */
export interface KvFramesFailure {
  readonly kind: 'failed';
  readonly reason: 'frame-count' | 'seq';
}

export function writeKvFrames(topic: string, seq: number, payload: Uint8Array): [string, Buffer, Uint8Array] {
  return [topic, writeSeq(seq), payload];
}

export function readKvFrames(frames: readonly Uint8Array[]): KvFrames | KvFramesFailure {
  const [topic, seqBytes, payload] = frames;
  if (frames.length !== 3 || !topic || !seqBytes || !payload) return { kind: 'failed', reason: 'frame-count' };
  const seq = readSeq(seqBytes);
  if (seq === null) return { kind: 'failed', reason: 'seq' };
  return { kind: 'frames', topic: Buffer.from(topic).toString('utf8'), seq, payload };
}

export function writeSeq(seq: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(seq));
  return bytes;
}

/** @returns null unless it is eight bytes and a safe integer */
export function readSeq(bytes: Uint8Array): number | null {
  if (bytes.length !== 8) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const seq = view.getUint32(0) * 4294967296 + view.getUint32(4);
  return Number.isSafeInteger(seq) ? seq : null;
}
