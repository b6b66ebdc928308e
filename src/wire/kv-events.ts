// KV events on the wire: the parts of the codec that publishers and subscribers use.

export type { KvBatch, KvBatchFailure, SkipReason } from './kv-events-decode.ts';
export { decodeKvBatch } from './kv-events-decode.ts';
export { encodeKvBatch } from './kv-events-encode.ts';
export type { KvFrames, KvFramesFailure } from './kv-events-frames.ts';
export { readKvFrames, writeKvFrames } from './kv-events-frames.ts';
