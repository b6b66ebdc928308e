// The segment cache: order of eviction, bound, and segments that it never stores.

import { describe, expect, it } from 'vitest';
import { SegmentCache } from '../../src/tokens/segment-cache.ts';

const ids = Uint32Array.of(1, 2, 3);
const entryBytes = 256 + 10 * 2 + 12;
const segment = (index: number): string => `segment ${index % 10}${Math.floor(index / 10)}`;

describe('SegmentCache', () => {
  it('evicts the least recently used segment first', () => {
    const cache = new SegmentCache(entryBytes * 2);
    cache.set(segment(0), ids);
    cache.set(segment(1), ids);
    expect(cache.get(segment(0))).toBe(ids);
    cache.set(segment(2), ids);
    expect(cache.get(segment(1))).toBeUndefined();
    expect(cache.get(segment(0))).toBe(ids);
    expect(cache.get(segment(2))).toBe(ids);
  });

  it('never exceeds its limit in bytes', () => {
    const cache = new SegmentCache(entryBytes * 7 + 100);
    for (let index = 0; index < 100; index++) {
      cache.set(segment(index), ids);
      expect(cache.bytes).toBe(cache.size * entryBytes);
      expect(cache.bytes).toBeLessThanOrEqual(cache.bytesMax);
    }
    expect(cache.size).toBe(7);
  });

  it('does not store segments that it could not hold or V8 could not hash', () => {
    const cache = new SegmentCache(1_000_000);
    cache.set('x'.repeat(SegmentCache.segmentCharsMax + 1), ids);
    cache.set('x'.repeat(SegmentCache.segmentCharsMax), ids);
    expect(cache.size).toBe(1);
    const none = new SegmentCache(0);
    none.set(segment(0), ids);
    expect(none.size).toBe(0);
  });

  it('finds a segment with lone surrogates by equal text only', () => {
    const cache = new SegmentCache(10_000);
    cache.set('a\ud83d', ids);
    expect(cache.get('a\ud83d')).toBe(ids);
    expect(cache.get('a\ufffd')).toBeUndefined();
  });
});
