// The decoder of KV events against its twin, which makes objects of everything, on events of any shape.

import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { KvEventDecoder } from '../../src/wire/kv-events.ts';
import { MessagePackWalk } from '../../src/wire/kv-events-guard.ts';
import { skipValue } from '../../src/wire/message-pack.ts';
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { naiveKvEvent, naiveWalk } from '../model/naive-kv-events.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Integers of every width that have no fraction in any form. */
const integer = fc.oneof(
  fc.integer({ min: -40, max: 300 }),
  fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  fc.integer({ min: 2 ** 31, max: 2 ** 32 - 1 }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
);
const bytes = fc.uint8Array({ maxLength: 40 }).map((list) => Buffer.from(list));
const text = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('GPU', 'CPU', 'LOCAL', 'full_attention', 'mamba'));
const any = fc.oneof(
  integer,
  bytes,
  text,
  fc.constantFrom(null, true, false, 1.5, [], {}),
  fc.array(fc.oneof(integer, text), { maxLength: 5 }),
  fc.dictionary(fc.constantFrom('cache_salt', 'other'), fc.oneof(integer, text), { maxKeys: 2 }),
);
/** Mostly of the right form. */
const mostly = <Value>(right: fc.Arbitrary<Value>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 12, arbitrary: right as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: any });
const hash = mostly(
  fc.oneof(
    integer,
    fc.uint8Array({ minLength: 8, maxLength: 32 }).map((list) => Buffer.from(list)),
  ),
);
const token = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 200_000 }));
const tokens = fc.oneof(fc.array(token, { maxLength: 40 }), fc.array(mostly(token), { maxLength: 10 }));
const extraKeys = fc.option(fc.array(fc.option(fc.array(any, { maxLength: 3 })), { maxLength: 4 }));

const fields = {
  type: mostly(fc.constantFrom('BlockStored', 'BlockStored', 'BlockRemoved', 'AllBlocksCleared', 'BlockMoved')),
  block_hashes: mostly(fc.array(hash, { maxLength: 5 })),
  parent_block_hash: fc.option(hash),
  token_ids: mostly(tokens),
  block_size: mostly(fc.integer({ min: 0, max: 20 })),
  lora_id: fc.option(mostly(fc.integer({ min: 0, max: 9 }))),
  medium: mostly(fc.constantFrom(null, 'GPU', 'DEVICE', 'CPU')),
  lora_name: fc.option(mostly(text)),
  extra_keys: mostly(extraKeys),
  group_idx: fc.option(mostly(fc.integer({ min: 0, max: 3 }))),
  kv_cache_spec_kind: fc.option(mostly(fc.constantFrom('full_attention', 'mla_attention', 'sliding_window'))),
  cache_salt: fc.option(mostly(text)),
  locality: mostly(fc.constantFrom(null, 'LOCAL')),
  session_id: any,
};

/** Keys in any order, some of them missing, some unknown. */
const maps = fc
  .tuple(fc.record(fields, { requiredKeys: ['type'] }), fc.dictionary(fc.string(), any, { maxKeys: 2 }), fc.nat())
  .map(([known, unknown, turn]) => {
    const entries = Object.entries({ ...unknown, ...known }).filter(([key]) => key !== '__proto__');
    const from = turn % entries.length;
    return Object.fromEntries([...entries.slice(from), ...entries.slice(0, from)]);
  });
const { type, block_hashes, parent_block_hash, token_ids, block_size, lora_id, medium, lora_name, group_idx } = fields;
const tail = [group_idx, fields.kv_cache_spec_kind, fc.option(integer), any] as const;
const seventh = fc.oneof(lora_name, fc.record({ cache_salt: text }));
const stores = fc.tuple(
  ...([type, block_hashes, parent_block_hash, token_ids, block_size, lora_id, medium, seventh] as const),
  ...([extraKeys, ...tail] as const),
);
const removals = fc.tuple(type, block_hashes, medium, ...tail);
const arrays = fc
  .tuple(fc.oneof(stores, removals), fc.nat(14))
  .map(([all, length]) => all.slice(0, Math.max(1, length)));

/** One decoder for all runs, so that nothing of an event may show in the next one. */
const decoder = new KvEventDecoder();

function expectLikeTwin(event: unknown, padding: number): void {
  const packed: Buffer = packr.pack(event);
  const expected = naiveKvEvent(packed);
  // Between other bytes, which must not matter.
  const payload = Buffer.concat([Buffer.alloc(1 + padding, 0xc0), packed, Buffer.alloc(padding % 7, 0xff)]);
  expect(decoder.read(payload, 1 + padding)).toEqual(expected);
  expect(decoder.end).toBe(1 + padding + packed.length);
}

describe('KvEventDecoder equals its twin', () => {
  it('for maps', () => {
    fc.assert(fc.property(maps, fc.nat(20), expectLikeTwin), { numRuns: 3000 });
  });

  it('for arrays', () => {
    fc.assert(fc.property(arrays, fc.nat(20), expectLikeTwin), { numRuns: 3000 });
  });

  it('for anything', () => {
    fc.assert(fc.property(any, fc.nat(20), expectLikeTwin));
  });

  it('for lists longer than the words it keeps', () => {
    for (const blocks of [3, 600, 5000, 3]) {
      const tokenIds = Array.from({ length: 16 * blocks }, (_, i) => (i * 7919) % 200_000);
      const blockHashes = Array.from({ length: blocks }, (_, i) => 2n ** 63n + BigInt(i));
      expectLikeTwin({ type: 'BlockStored', block_hashes: blockHashes, token_ids: tokenIds, block_size: 16 }, 0);
    }
  });

  it('takes the last of equal keys', () => {
    // {type: "BlockRemoved", block_hashes: "x", block_hashes: [7]}
    const hex = '83a474797065ac426c6f636b52656d6f766564ac626c6f636b5f686173686573a178ac626c6f636b5f6861736865739107';
    expect(decoder.read(Buffer.from(`c0${hex}`, 'hex'), 1)).toEqual({ kind: 'removed', hashes: Uint32Array.of(7, 0) });
  });
});

describe('MessagePackWalk equals its twin', () => {
  const payloads = [...Object.values(golden.vectors), ...golden.workedTrace].map((hex) => Buffer.from(hex, 'hex'));
  const check = (payload: Uint8Array, itemsMax: number): void => {
    const walk = new MessagePackWalk(payload);
    let progress = walk.advance(itemsMax);
    while (progress === 'more') progress = walk.advance(itemsMax);
    expect(progress).toBe(naiveWalk(payload));
    // What has passed can be read.
    if (progress === 'done') expect(skipValue(payload, 0)).toBe(payload.length);
  };

  it('for payloads with changed bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...payloads),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 40 }),
        (payload, changes, cut, itemsMax) => {
          const changed = Buffer.from(payload);
          for (const [at, byte] of changes) changed[at % changed.length] = byte;
          check(changed, itemsMax);
          check(changed.subarray(0, cut % changed.length), itemsMax);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('for any bytes', () => {
    const byte = fc.oneof(fc.nat(255), fc.integer({ min: 0x80, max: 0xdf }));
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (list, itemsMax) => {
        check(Uint8Array.from(list), itemsMax);
      }),
      { numRuns: 5000 },
    );
  });
});
