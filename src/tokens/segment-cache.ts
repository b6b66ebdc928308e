// The ids of text segments seen before: what makes the second prompt with the same beginning cheap.

/** Array, map entry and string headers of one segment, about. */
const entryOverheadBytes = 256;

/** Least recently used out first, bounded in bytes. Keys are whole segments, so a hit is exact. */
export class SegmentCache {
  /** V8 hashes longer strings by their length alone, so they would all collide. */
  static readonly segmentCharsMax = 16_383;

  readonly bytesMax: number;
  #bytes = 0;
  /** In order of last use. */
  readonly #segments = new Map<string, Uint32Array>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#segments.size;
  }

  get(segment: string): Uint32Array | undefined {
    const ids = this.#segments.get(segment);
    if (ids === undefined) return undefined;
    this.#segments.delete(segment);
    this.#segments.set(segment, ids);
    return ids;
  }

  /** Takes a segment that `get` has just missed; one that is too long, or larger than the cache, is not kept. */
  set(segment: string, ids: Uint32Array): void {
    const bytes = entryBytes(segment, ids);
    if (segment.length > SegmentCache.segmentCharsMax || bytes > this.bytesMax) return;
    this.#segments.set(ownCopy(segment), ids);
    this.#bytes += bytes;
    while (this.#bytes > this.bytesMax) this.#dropOldest();
  }

  #dropOldest(): void {
    for (const [segment, ids] of this.#segments) {
      this.#segments.delete(segment);
      this.#bytes -= entryBytes(segment, ids);
      return;
    }
  }
}

function entryBytes(segment: string, ids: Uint32Array): number {
  return entryOverheadBytes + segment.length * 2 + ids.byteLength;
}

/** A slice keeps the whole text it was cut from alive; this string stands alone. UTF-16, for lone surrogates. */
function ownCopy(segment: string): string {
  return Buffer.from(segment, 'utf16le').toString('utf16le');
}
