// KV events on the wire: the codec's exports for publishers and subscribers.

export type { KvBatch, KvBatchFailure, KvBatchHead } from './kv-events-batch.ts';
export { decodeKvBatch, KvBatchReader, ownCopy } from './kv-events-batch.ts';
export { KvEventDecoder, type SkipReason } from './kv-events-decode.ts';
export { encodeKvBatch, type HashForm, hashForms, type KvEventsFormat, kvEventsFormats } from './kv-events-encode.ts';
export type { KvFrames, KvFramesFailure } from './kv-events-frames.ts';
export { readKvFrames, writeKvFrames } from './kv-events-frames.ts';
export { payloadBytesMax } from './kv-events-guard.ts';
export {
  type KvReplayReply,
  readReplayReply,
  readReplayRequest,
  writeReplayEnd,
  writeReplayRequest,
} from './kv-events-replay.ts';
