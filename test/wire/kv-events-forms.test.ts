// KV events in the array forms of earlier engines.

import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../src/core/types.ts';
import { encodeKvBatch, kvEventsFormats } from '../../src/wire/kv-events.ts';
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { allOnes, decoded, H, stored, timestampS, words } from './kv-event-values.ts';

const { vectors } = golden;

describe('encodeKvBatch: the array forms', () => {
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

  it('tells pages one by one, chained, with signed hashes', () => {
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
      stored({ hashes: words(H), parent: words(allOnes) }),
      { kind: 'removed', hashes: words(H, 7n) },
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

  it('tell adapter, salt and media as far as their generation does', () => {
    const event = stored({ lora: 'a', salt: 's', extras: ['[["image",0]]'] });
    const told = (format: (typeof kvEventsFormats)[number]) =>
      decoded(encodeKvBatch(timestampS, 0, [event], format).toString('hex')).events[0];
    expect(told('array11')).toEqual(event);
    expect(told('array7')).toEqual({ ...event, salt: null, extras: null });
    expect(told('array6')).toEqual({ ...event, lora: null, salt: null, extras: null });
  });
});
