// KV events on the wire, compared with test vectors and payloads captured from real engines.

import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import type { BlocksStored, KvEvent } from '../../src/core/types.ts';
import { decodeKvBatch, encodeKvBatch, type KvBatch, KvBatchReader, ownCopy } from '../../src/wire/kv-events.ts';
import { extraKeysBytesMax, extraKeysValuesMax } from '../../src/wire/kv-events-decode.ts';
import { containersMax, nestingMax, payloadBytesMax } from '../../src/wire/kv-events-guard.ts';
import captures from '../golden/kv-event-captures.json' with { type: 'json' };
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { allOnes, decoded, sampleHash, stored, timestampS, words } from './kv-event-values.ts';

const { vectors } = golden;
const packr = new Packr({ useRecords: false, variableMapSize: true });

function decodedEvent(event: unknown): KvBatch {
  return decoded(packr.pack([timestampS, [event], 0]).toString('hex'));
}

function decimals(hashWords: Uint32Array | null): string[] | null {
  if (hashWords === null) return null;
  const list: string[] = [];
  for (let i = 0; i < hashWords.length; i += 2) {
    list.push(((BigInt(hashWords[i + 1]!) << 32n) | BigInt(hashWords[i]!)).toString());
  }
  return list;
}

describe('decodeKvBatch: every generation of the format', () => {
  const cases: [name: keyof typeof vectors, rank: number | null, events: KvEvent[]][] = [
    ['V1', null, [stored({ hashes: words(sampleHash), tokens: Uint32Array.of(1, 2, 3, 128) })]],
    [
      'V2',
      0,
      [stored({ hashes: words(sampleHash, 7n), tokens: Uint32Array.of(1, 2, 127, 128, 255, 256, 65535, 65536) })],
    ],
    ['V3', 0, [stored({ parent: words(allOnes) })]],
    ['V4', 0, [stored({ parent: words(allOnes) })]],
    ['V5', 0, [{ kind: 'removed', hashes: words(sampleHash) }]],
    ['V6', 0, [{ kind: 'cleared' }]],
    ['V7', 0, [stored({ hashes: words(sampleHash) })]],
    [
      'V8',
      3,
      [
        stored({
          hashes: words(11n, 12n),
          parent: words(allOnes),
          tokens: Uint32Array.of(5, 6, 7, 8),
          blockSize: 2,
          lora: 'adapter',
          extras: ['["salt-1"]', null],
        }),
      ],
    ],
    ['V9', 0, [{ kind: 'removed', hashes: words(0x8000000000000001n) }, { kind: 'cleared' }]],
    ['V10', 0, [stored({ hashes: words(0x18191a1b1c1d1e1fn), tokens: Uint32Array.of(1, 2), blockSize: 2 })]],
    ['V11', null, []],
    [
      'S1',
      null,
      [
        stored({
          hashes: words(-1634645291211865391n),
          parent: words(7470307888890966271n),
          tokens: Uint32Array.of(2),
          blockSize: 1,
        }),
      ],
    ],
    ['S2', null, [stored({ hashes: words(7470307888890966271n), tokens: Uint32Array.of(1), blockSize: 1 })]],
  ];
  it.each(cases)('%s', (name, rank, events) => {
    const batch = decoded(vectors[name]);
    expect(batch.timestampS).toBe(timestampS);
    expect(batch.rank).toBe(rank);
    expect(batch.events).toEqual(events);
    expect(batch.skipped).toEqual(name === 'V11' ? { medium: 1 } : {});
  });

  it('covers every test vector', () => {
    expect(cases.map(([name]) => name).sort()).toEqual(Object.keys(vectors).sort());
  });

  it('accepts integers wider than necessary', () => {
    const wide = (value: number) => `cf${value.toString(16).padStart(16, '0')}`;
    const eventHead = '9cab426c6f636b53746f726564';
    const fields = (integer: (value: number) => string, group: number): string =>
      `91${integer(7)}${integer(9)}94${integer(1)}${integer(7)}${integer(100)}${integer(0)}${integer(4)}` +
      `${integer(3)}a3475055c091c0${integer(group)}ae66756c6c5f617474656e74696f6ec0`;
    const batchOf = (integer: (value: number) => string, group: number): KvBatch =>
      decoded(`93cb41da30549810000091${eventHead}${fields(integer, group)}${integer(2)}`);
    const short = (value: number) => value.toString(16).padStart(2, '0');
    for (const group of [0, 3]) expect(batchOf(wide, group)).toEqual(batchOf(short, group));
    expect(batchOf(wide, 0)).toMatchObject({ rank: 2, events: [{ parent: words(9n), blockSize: 4, lora: '3' }] });
  });

  it('reads a wide parent of 0 as the root', () => {
    const parent = 'cf0000000000000000';
    const [event] = decoded(`93cb41da3054981000009196ab426c6f636b53746f7265649107${parent}9101${'01'}c000`).events;
    expect(event).toMatchObject({ parent: null, blockSize: 1 });
  });

  it('keeps the bits of signed and unsigned hashes, in lists and as parent', () => {
    const event = ['BlockStored', [-1, -5000000000n, 2n ** 63n], -2, [1, 2, 3], 1, null];
    const [only] = decodedEvent(event).events;
    expect(only).toEqual(
      stored({
        hashes: words(-1n, -5000000000n, 2n ** 63n),
        parent: words(-2n),
        tokens: Uint32Array.of(1, 2, 3),
        blockSize: 1,
      }),
    );
  });

  it('reads a parent of 0 as the root', () => {
    expect(decodedEvent(['BlockStored', [7], 0, [1, 2, 3, 4], 4, null]).events).toEqual([stored({})]);
  });

  it('accepts tokens that end early', () => {
    const [event] = decodedEvent(['BlockStored', [7, 8], null, [1, 2, 3, 4, 5], 4, null]).events;
    expect(event).toMatchObject({ hashes: words(7n, 8n), tokens: Uint32Array.of(1, 2, 3, 4, 5) });
  });
});

describe('decodeKvBatch: captured payloads', () => {
  for (const [file, batches] of Object.entries(captures)) {
    it.each(batches)(`${file}: $what`, (capture) => {
      const batch = decoded(capture.payloadHex);
      expect(batch.rank).toBe(0);
      expect(batch.timestampS).toBe(capture.timestampS);
      expect(batch.skipped).toEqual({});
      const seen = batch.events.map((event) => {
        if (event.kind !== 'stored') {
          return event.kind === 'removed' ? { kind: event.kind, hashes: decimals(event.hashes) } : { kind: event.kind };
        }
        expect(event.lora).toBeNull();
        expect(event.extras).toBeNull();
        return {
          kind: event.kind,
          hashes: decimals(event.hashes),
          parent: decimals(event.parent)?.[0] ?? null,
          tokenCount: event.tokens.length,
          tokenSum: event.tokens.reduce((sum, token) => sum + token, 0),
          blockSize: event.blockSize,
          salt: event.salt,
        };
      });
      expect(seen).toEqual(capture.events);
    });
  }
});

describe('decodeKvBatch: skipped events', () => {
  const map = {
    type: 'BlockStored',
    block_hashes: [7],
    parent_block_hash: null,
    token_ids: [1, 2, 3, 4],
    block_size: 4,
    lora_id: null,
    medium: 'GPU',
    lora_name: null,
  };
  it.each([
    ['medium', { ...map, medium: 'CPU' }],
    ['medium', { ...map, medium: 'STORAGE' }],
    ['locality', { ...map, locality: 'REMOTE' }],
    ['attention-kind', { ...map, kv_cache_spec_kind: 'sliding_window' }],
    ['attention-kind', { ...map, kv_cache_spec_kind: 'kind-of-tomorrow' }],
    ['placeholder', { ...map, token_ids: [], block_size: 0 }],
    ['placeholder', { ...map, token_ids: [] }],
    ['unknown-type', { type: 'BlockPromoted' }],
    ['unknown-type', ['BlockPromoted', 1]],
    ['malformed', { ...map, token_ids: [1.5] }],
    ['malformed', { ...map, token_ids: [-1] }],
    ['malformed', { ...map, token_ids: 'abcd' }],
    ['malformed', { ...map, block_size: 100_000 }],
    ['malformed', { ...map, block_size: null }],
    ['malformed', { ...map, block_hashes: ['seven'] }],
    ['malformed', { ...map, block_hashes: [Buffer.from('short')] }],
    ['malformed', { ...map, parent_block_hash: 'seven' }],
    ['malformed', { type: 7 }],
    ['malformed', { type: 'BlockRemoved' }],
    ['malformed', ['BlockStored']],
    ['malformed', 'BlockStored'],
    ['malformed', null],
    ['medium', ['BlockRemoved', [7], 'CPU', 0]],
    ['attention-kind', ['BlockStored', [7], null, [1], 1, null, 'GPU', null, [null], 1, 'mamba', null]],
  ])('%s: %j', (reason, event) => {
    const batch = decodedEvent(event);
    expect(batch.events).toEqual([]);
    expect(batch.skipped).toEqual({ [reason]: 1 });
  });

  it('keeps the other events of the batch, and ignores unknown keys', () => {
    const events = [
      { ...map, tomorrow: { a: [1] } },
      { type: 'BlockPromoted' },
      { type: 'BlockPromoted' },
      ['BlockRemoved', [7]],
    ];
    const batch = decoded(packr.pack([timestampS, events, null, 'later']).toString('hex'));
    expect(batch.events).toEqual([stored({}), { kind: 'removed', hashes: words(7n) }]);
    expect(batch.skipped).toEqual({ 'unknown-type': 2 });
  });

  it.each(['DEVICE', 'GPU', null])('keeps medium %s', (medium) => {
    expect(decodedEvent({ ...map, medium }).events).toHaveLength(1);
  });

  it.each(['full_attention', 'mla_attention', 'sink_full_attention', null])('keeps attention kind %s', (kind) => {
    expect(decodedEvent({ ...map, kv_cache_spec_kind: kind }).events).toHaveLength(1);
  });
});

describe('decodeKvBatch: groups', () => {
  const removed = (group: number | null): Uint32Array => {
    const [event] = decodedEvent({
      type: 'BlockRemoved',
      block_hashes: [7, 8],
      medium: 'GPU',
      group_idx: group,
    }).events;
    if (event?.kind !== 'removed') throw new Error('not a removal');
    return event.hashes;
  };

  it('gives one hash another handle in each group, and the plain one in group 0', () => {
    expect(removed(0)).toEqual(words(7n, 8n));
    expect(removed(null)).toEqual(words(7n, 8n));
    const handles = [0, 1, 2, 3, 100].flatMap((group) => decimals(removed(group)) ?? []);
    expect(new Set(handles).size).toBe(handles.length);
  });

  it('mixes the group into the parent too, and finds it after another list', () => {
    const tail = (...fields: unknown[]) =>
      decodedEvent(['BlockStored', [8], 7, [1], 1, null, 'GPU', null, [null], ...fields]).events[0];
    const inGroup2 = removed(2);
    expect(tail(2, 'full_attention', 4096)).toMatchObject({
      hashes: inGroup2.subarray(2),
      parent: inGroup2.subarray(0, 2),
    });
    expect(tail([], 2, 'full_attention', 4096)).toMatchObject({ hashes: inGroup2.subarray(2) });
    expect(tail(null, 'full_attention', 4096)).toMatchObject({ hashes: words(8n) });
  });
});

describe('decodeKvBatch: adapter, salt and extra keys', () => {
  const event = (fields: object) =>
    decodedEvent({
      type: 'BlockStored',
      block_hashes: [7, 8],
      parent_block_hash: null,
      token_ids: [1, 2],
      block_size: 1,
      lora_id: null,
      medium: 'GPU',
      lora_name: null,
      ...fields,
    }).events[0];

  it('finds the salt after the adapter', () => {
    expect(event({ lora_id: 3, lora_name: 'a', extra_keys: [['a', 'salt'], ['a']] })).toMatchObject({
      lora: 'a',
      salt: 'salt',
      extras: null,
    });
  });

  it('names an adapter by its number if it has no name', () => {
    expect(event({ lora_id: 3 })).toMatchObject({ lora: '3' });
  });

  it('separates media and digests of each block from the salt', () => {
    const extraKeys = [[['image-1', 0], 'salt', Buffer.from([1, 255])], [['image-1', -1]]];
    expect(event({ extra_keys: extraKeys })).toMatchObject({
      salt: 'salt',
      extras: ['[["image-1",0],"01ff"]', '[["image-1",-1]]'],
    });
  });

  it('takes as many extra keys as are read in one step', () => {
    const skips = (extraKeys: unknown) => {
      const stores = ['BlockStored', [7], null, [1], 1, null, 'GPU', null, extraKeys];
      return decodedEvent(stores).skipped;
    };
    // The list, its one item, and that one's.
    const values = (count: number) => [new Array<number>(count - 2).fill(1)];
    expect(skips(values(extraKeysValuesMax))).toEqual({});
    expect(skips(values(extraKeysValuesMax + 1))).toEqual({ malformed: 1 });
    const bytes = (count: number) => [['x'.repeat(count - 7)]];
    expect(skips(bytes(extraKeysBytesMax))).toEqual({});
    expect(skips(bytes(extraKeysBytesMax + 1))).toEqual({ malformed: 1 });
  });

  it("reads SGLang's salt in both forms", () => {
    expect(event({ cache_salt: 'salt' })).toMatchObject({ salt: 'salt', extras: null });
    const array = decodedEvent(['BlockStored', [7], null, [1], 1, null, 'GPU', { cache_salt: 'salt' }]).events[0];
    expect(array).toMatchObject({ salt: 'salt', lora: null });
  });

  it('gives a salt to the heads of chains only', () => {
    expect(event({ parent_block_hash: 9, cache_salt: 'salt' })).toMatchObject({ salt: null, extras: null });
  });
});

describe('decodeKvBatch: hostile payloads', () => {
  it('reports why a payload could not be read', () => {
    const reason = (bytes: Uint8Array) => {
      const batch = decodeKvBatch(bytes);
      return batch.kind === 'failed' ? batch.reason : batch.kind;
    };
    expect(reason(Buffer.alloc(0))).toBe('truncated');
    expect(reason(Buffer.from('dd01ffffff', 'hex'))).toBe('truncated');
    expect(reason(Buffer.from('df7fffffff', 'hex'))).toBe('truncated');
    expect(reason(Buffer.from('c67fffffff00', 'hex'))).toBe('truncated');
    expect(reason(Buffer.from('9300', 'hex'))).toBe('truncated');
    expect(reason(Buffer.from('c1', 'hex'))).toBe('not-a-batch');
    expect(reason(Buffer.from('0000', 'hex'))).toBe('trailing-bytes');
    expect(reason(Buffer.from('d47200', 'hex'))).toBe('extension');
    expect(reason(Buffer.from('c70172ff', 'hex'))).toBe('extension');
    expect(reason(Buffer.alloc(nestingMax + 2, 0x91))).toBe('too-deep');
    expect(reason(Buffer.alloc(payloadBytesMax + 1))).toBe('too-long');
    const containers = Buffer.alloc(containersMax + 6, 0x90);
    containers.set([0xdd, 0, 4, 0, 1], 0);
    expect(reason(containers)).toBe('too-many-containers');
    expect(reason(Buffer.from('80', 'hex'))).toBe('not-a-batch');
    expect(reason(Buffer.from('93a0a0a0', 'hex'))).toBe('not-a-batch');
  });

  it('gives the same result in pieces as at once', () => {
    for (const hex of [...Object.values(vectors), ...golden.workedTrace]) {
      const bytes = Buffer.from(hex, 'hex');
      for (const itemsMax of [1, 2, 3]) {
        const reader = new KvBatchReader(bytes);
        let pieces = 1;
        let head = reader.open(itemsMax);
        for (; head === null; head = reader.open(itemsMax)) pieces += 1;
        expect(pieces).toBeGreaterThan(1);
        const whole = decoded(hex);
        expect(head).toEqual({ kind: 'head', timestampS: whole.timestampS, rank: whole.rank });
        const events: unknown[] = [];
        for (let event = reader.next(); event !== null; event = reader.next()) {
          if (typeof event !== 'string') events.push(ownCopy(event));
        }
        expect(events).toEqual(whole.events);
        expect(reader.next()).toBeNull();
      }
    }
  });

  it('does not treat a rank or anything after it as events', () => {
    const bytes = (batch: unknown): Buffer => packr.pack(batch);
    const removed = ['BlockRemoved', [7]];
    const event = { kind: 'removed', hashes: words(7n) };
    for (const rank of [[removed], { a: removed }, 'x', null, -1, 1.5]) {
      expect(decodeKvBatch(bytes([1, [removed], rank, [removed]]))).toMatchObject({ rank: null, events: [event] });
    }
    expect(decodeKvBatch(bytes([1, [], [removed]]))).toMatchObject({ events: [] });
    expect(decodeKvBatch(bytes([[removed], [removed]]))).toEqual({ kind: 'failed', reason: 'not-a-batch' });
  });

  it('survives random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['batch', 'failed']).toContain(decodeKvBatch(bytes).kind);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('encodeKvBatch', () => {
  it.each(['V7', 'V9'] as const)('reproduces %s', (name) => {
    expect(encodeKvBatch(timestampS, 0, decoded(vectors[name]).events).toString('hex')).toBe(vectors[name]);
  });

  it('reproduces the batches of the worked trace', () => {
    for (const hex of golden.workedTrace) {
      expect(encodeKvBatch(timestampS, 0, decoded(hex).events).toString('hex')).toBe(hex);
    }
  });

  const reproducible = [...captures['events-v0.32-int'], ...captures['trace-v0.32-bs32']].filter(
    ({ what }) => !what.startsWith('session_id'),
  );
  it.each(reproducible)('reproduces the captured batch: $what', ({ payloadHex }) => {
    const batch = decoded(payloadHex);
    expect(encodeKvBatch(batch.timestampS, 0, batch.events).toString('hex')).toBe(payloadHex);
  });

  it('writes what the decoder reads back, for any values', () => {
    const uint32 = fc.integer({ min: 0, max: 0xffffffff });
    const hashes = fc
      .array(fc.oneof(uint32, fc.constant(0)), { minLength: 1, maxLength: 20 })
      .map((list) => Uint32Array.from([...list, ...list]));
    const parent = fc.option(
      fc
        .tuple(uint32, uint32)
        .filter(([low, high]) => low !== 0 || high !== 0)
        .map((pair) => Uint32Array.from(pair)),
    );
    const storedEvent = fc
      .record({
        hashes,
        parent,
        blockSize: fc.integer({ min: 1, max: 300 }),
        tokens: fc.array(uint32, { minLength: 1, maxLength: 40 }).map((list) => Uint32Array.from(list)),
        lora: fc.option(fc.string({ maxLength: 300 })),
        salt: fc.option(fc.string({ maxLength: 300 })),
      })
      .map((fields): BlocksStored => {
        const salt = fields.parent === null && fields.salt !== fields.lora ? fields.salt : null;
        return { kind: 'stored', extras: null, ...fields, salt };
      });
    const event: fc.Arbitrary<KvEvent> = fc.oneof(
      storedEvent,
      hashes.map((list): KvEvent => ({ kind: 'removed', hashes: list })),
      fc.constant<KvEvent>({ kind: 'cleared' }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.integer({ min: 0, max: 1000 }), (events, rank) => {
        const batch = decodeKvBatch(encodeKvBatch(timestampS, rank, events));
        expect(batch).toEqual({ kind: 'batch', timestampS, rank, events, skipped: {} });
      }),
    );
  });
});
