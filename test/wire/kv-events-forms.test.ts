// KV events in the array forms of earlier engines.

import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../src/core/types.ts';
import { encodeKvBatch, kvEventsFormats } from '../../src/wire/kv-events.ts';
import captures from '../golden/kv-event-captures.json' with { type: 'json' };
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { allOnes, decoded, sampleHash, stored, timestampS, words } from './kv-event-values.ts';

const { vectors } = golden;

describe('encodeKvBatch: the array forms, and SGLang', () => {
  it.each([
    ['V1', 'array5'],
    ['V2', 'array6'],
    ['V3', 'array7'],
    ['V4', 'array11'],
    ['V5', 'array11'],
    ['V6', 'array11'],
  ] as const)('reproduces %s as %s', (name, format) => {
    const batch = encodeKvBatch(timestampS, 0, decoded(vectors[name]).events, format).toString('hex');
    // The first generation had no rank: two elements instead of three.
    const told = name === 'V1' ? batch.replace(/^93(.*)00$/, '92$1') : batch;
    expect(told).toBe(vectors[name]);
  });

  it.each([
    ['S1', 'sglang-array'],
    ['S2', 'sglang-map'],
  ] as const)('reproduces %s as %s', (name, format) => {
    const batch = encodeKvBatch(timestampS, null, decoded(vectors[name]).events, format).toString('hex');
    expect(batch).toBe(vectors[name]);
  });

  it('stores pages one by one, chained, with signed hashes', () => {
    const events: KvEvent[] = [
      stored({
        hashes: words(7470307888890966271n, -1634645291211865391n),
        tokens: Uint32Array.of(1, 2),
        blockSize: 1,
      }),
    ];
    const batch = encodeKvBatch(timestampS, 0, events, 'sglang-array');
    expect(batch.toString('hex')).toContain(vectors.S1.slice(22, -2));
    expect(decoded(batch.toString('hex')).events).toEqual([
      stored({ hashes: words(7470307888890966271n), tokens: Uint32Array.of(1), blockSize: 1 }),
      stored({
        hashes: words(-1634645291211865391n),
        parent: words(7470307888890966271n),
        tokens: Uint32Array.of(2),
        blockSize: 1,
      }),
    ]);
  });

  it.each(kvEventsFormats)('%s is read back', (format) => {
    const events: KvEvent[] = [
      stored({ hashes: words(sampleHash), parent: words(allOnes) }),
      { kind: 'removed', hashes: words(sampleHash, 7n) },
      { kind: 'cleared' },
    ];
    expect(decoded(encodeKvBatch(timestampS, 3, events, format).toString('hex'))).toEqual({
      kind: 'batch',
      timestampS,
      rank: 3,
      events,
      skipped: {},
    });
  });

  it('has adapter, salt and media as far as the generation supports them', () => {
    const event = stored({ lora: 'a', salt: 's', extras: ['[["image",0]]'] });
    const told = (format: (typeof kvEventsFormats)[number]) =>
      decoded(encodeKvBatch(timestampS, 0, [event], format).toString('hex')).events[0];
    expect(told('sglang-map')).toEqual({ ...event, lora: null, extras: null });
    expect(told('sglang-array')).toEqual({ ...event, lora: null, salt: null, extras: null });
    expect(told('array11')).toEqual(event);
    expect(told('array7')).toEqual({ ...event, salt: null, extras: null });
    expect(told('array6')).toEqual({ ...event, lora: null, salt: null, extras: null });
  });
});

describe('encodeKvBatch: hashes as digests', () => {
  const events: KvEvent[] = [
    stored({
      hashes: words(sampleHash, 7n),
      tokens: Uint32Array.from({ length: 8 }, (_, i) => i),
      parent: words(allOnes),
    }),
    { kind: 'removed', hashes: words(0x18191a1b1c1d1e1fn) },
  ];

  it.each(['map', 'array5', 'array6', 'array7', 'array11'] as const)('%s is read back, parents included', (format) => {
    const hex = encodeKvBatch(timestampS, 0, events, format, 'bytes').toString('hex');
    expect(decoded(hex).events).toEqual(events);
    // 32 bytes each: two stored, a parent, a removed one.
    expect(hex.match(/c420/g)).toHaveLength(4);
    for (const key of ['deadbeef12345678', '0000000000000007', 'f'.repeat(16), '18191a1b1c1d1e1f']) {
      expect(hex).toMatch(new RegExp(`c420.{48}${key}`));
    }
  });

  it('differ from V10 only in bytes of a digest that readers ignore', () => {
    const batch = encodeKvBatch(timestampS, 0, decoded(vectors.V10).events, 'map', 'bytes').toString('hex');
    const at = vectors.V10.indexOf('c420') + 4;
    expect(batch.slice(0, at)).toBe(vectors.V10.slice(0, at));
    expect(batch.slice(at + 48)).toBe(vectors.V10.slice(at + 48));
  });

  it.each(captures['events-v0.32-bytes'])('writes the captured batch except for digests: $what', (capture) => {
    const batch = decoded(capture.payloadHex);
    const hex = encodeKvBatch(batch.timestampS, 0, batch.events, 'map', 'bytes').toString('hex');
    const masked = (text: string): string => text.replace(/c420.{48}/g, 'c420');
    expect(masked(hex)).toBe(masked(capture.payloadHex));
  });
});
