// Caches the ids of text segments, which makes further prompts with the same beginning cheap.

import { ByteLru } from './byte-lru.ts';
import { ownCopy } from './own-copy.ts';

/** Approximate size of a segment's array, map entry and string headers. */
const entryOverheadBytes = 256;

/** Evicts the least recently used, bounded in bytes. Keys are whole segments, so a hit is exact. */
export class SegmentCache {
  /** V8 hashes longer strings by their length alone, so they would all collide. */
  static readonly segmentCharsMax = 16_383;

  readonly #segments: ByteLru<Uint32Array>;

  constructor(bytesMax: number) {
    this.#segments = new ByteLru(bytesMax, (segment, ids) => entryOverheadBytes + segment.length * 2 + ids.byteLength);
  }

  get bytesMax(): number {
    return this.#segments.bytesMax;
  }

  get bytes(): number {
    return this.#segments.bytes;
  }

  get size(): number {
    return this.#segments.size;
  }

  get(segment: string): Uint32Array | undefined {
    return this.#segments.get(segment);
  }

  /** Adds a segment that `get` has just missed, unless it is too long or larger than the cache. */
  set(segment: string, ids: Uint32Array): void {
    if (segment.length <= SegmentCache.segmentCharsMax) this.#segments.set(ownCopy(segment), ids);
  }
}
