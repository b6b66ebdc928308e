// Cut, changed and false payloads in every form: no crash, no hang, no growth, and every loss has a reason.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KvEvent } from '../../src/core/types.ts';
import { encodeKvBatch, hashForms, KvBatchReader, kvEventsFormats } from '../../src/wire/kv-events.ts';
import captures from '../golden/kv-event-captures.json' with { type: 'json' };
import golden from '../golden/kv-event-vectors.json' with { type: 'json' };
import { allOnes, sampleHash, stored, timestampS, words } from './kv-event-values.ts';

const failures = ['too-long', 'truncated', 'trailing-bytes', 'too-deep', 'too-many-containers', 'extension'];
const reasons = ['medium', 'locality', 'attention-kind', 'placeholder', 'unknown-type', 'malformed'];

const sample: readonly KvEvent[] = [
  stored({
    hashes: words(sampleHash, -1634645291211865391n),
    tokens: Uint32Array.of(1, 200, 70_000, 2 ** 32 - 1, 5, 6, 7, 8),
  }),
  stored({ hashes: words(9n), parent: words(allOnes), lora: 'adapter', extras: ['["image",0]'] }),
  stored({ hashes: words(10n), salt: 'salt' }),
  { kind: 'removed', hashes: words(sampleHash, 9n) },
  { kind: 'cleared' },
];

const payloads: readonly (readonly [name: string, payload: Buffer])[] = [
  ...Object.entries(golden.vectors).map(([name, hex]) => [name, Buffer.from(hex, 'hex')] as const),
  ...golden.workedTrace.map((hex, i) => [`worked trace ${i}`, Buffer.from(hex, 'hex')] as const),
  ...Object.entries(captures).flatMap(([file, batches]) =>
    batches.map(({ what, payloadHex }) => [`${file}: ${what}`, Buffer.from(payloadHex, 'hex')] as const),
  ),
  ...kvEventsFormats.flatMap((format) =>
    hashForms.map((form) => [`${format}, ${form} hashes`, encodeKvBatch(timestampS, 0, sample, format, form)] as const),
  ),
];

/** The allowed outcomes of a payload. */
const outcomes: ('read' | 'failed')[] = ['read', 'failed'];

function outcomeOf(payload: Uint8Array): 'read' | 'failed' {
  const reader = new KvBatchReader(payload);
  let head = reader.open(64);
  for (let pieces = 0; head === null; pieces++) {
    if (pieces > payload.length) throw new Error('more pieces than bytes');
    head = reader.open(64);
  }
  if (head.kind === 'failed') {
    if (![...failures, 'not-a-batch'].includes(head.reason)) throw new Error(`no reason: ${head.reason}`);
    return 'failed';
  }
  let count = 0;
  for (let event = reader.next(); event !== null; event = reader.next()) {
    if (typeof event === 'string' && !reasons.includes(event)) throw new Error(`no reason: ${event}`);
    if (typeof event === 'object' && event.kind === 'stored') assertWhole(event);
    if (++count > payload.length) throw new Error('more events than bytes');
  }
  return 'read';
}

/** Asserts the invariants that core relies on. */
function assertWhole({ hashes, parent, tokens, blockSize, extras }: Extract<KvEvent, { kind: 'stored' }>): void {
  const isWhole =
    hashes.length % 2 === 0 &&
    (parent === null || parent.length === 2) &&
    tokens.length > 0 &&
    Number.isInteger(blockSize) &&
    blockSize > 0 &&
    (extras === null || extras.length === hashes.length / 2);
  if (!isWhole) throw new Error('a store that core can not take');
}

/** Positions at which a payload is changed: all of a short one, enough of a long one. */
function* positions({ length }: Uint8Array): Generator<number> {
  const stride = Math.ceil(length / 400);
  for (let at = 0; at < length; at += stride) yield at;
}

/** False headers: containers and texts of four billion items, deep nesting, extensions. */
const lies = [
  'ddffffffff',
  'dfffffffff',
  'c6ffffffff',
  'dbffffffff',
  'dcffff',
  'deffff',
  'c9ffffffff72',
  '9191919191',
  'c1',
  'd3',
];

describe('hostile payloads', () => {
  it.each(payloads)('%s: fails when cut anywhere', (_, payload) => {
    expect(outcomeOf(payload)).toBe('read');
    for (const at of positions(payload)) expect(outcomeOf(payload.subarray(0, at))).toBe('failed');
  });

  it.each(payloads)('%s: with a flipped byte or false length is read or refused', (_, payload) => {
    for (const at of positions(payload)) {
      for (const flip of [0x01, 0x10, 0x80, 0xff]) {
        const changed = Buffer.from(payload);
        changed[at] = changed[at]! ^ flip;
        expect(outcomeOf(changed)).toBeOneOf(outcomes);
      }
    }
    for (const lie of lies) {
      for (let at = 0; at < payload.length; at += Math.ceil(payload.length / 60)) {
        const head = Buffer.from(lie, 'hex');
        expect(outcomeOf(Buffer.concat([payload.subarray(0, at), head, payload.subarray(at + 1)]))).toBeOneOf(outcomes);
        expect(outcomeOf(Buffer.concat([payload.subarray(0, at), head]))).toBeOneOf(outcomes);
      }
    }
  });

  it('made of random pieces are read or refused', () => {
    const piece = fc
      .tuple(fc.constantFrom(...payloads), fc.nat(), fc.nat(60))
      .map(([[, payload], from, length]) => payload.subarray(from % payload.length, (from % payload.length) + length));
    const body = fc.array(fc.oneof(piece, fc.uint8Array({ maxLength: 6 })), { maxLength: 8 });
    // As the content of a batch, where they are parsed furthest.
    const batch = fc.tuple(fc.nat(15), body).map(([count, pieces]) => {
      const front = Buffer.from(`93cb41da305498100000${(0x90 | count).toString(16)}`, 'hex');
      return Buffer.concat([front, ...pieces, Buffer.from([0])]);
    });
    fc.assert(
      fc.property(
        fc.oneof(
          batch,
          body.map((pieces) => Buffer.concat(pieces)),
        ),
        (payload) => {
          expect(outcomeOf(payload)).toBeOneOf(outcomes);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('leave no state behind', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const usedAfter = (rounds: number): number => {
      for (let round = 0; round < rounds; round++) {
        for (const [, payload] of payloads) {
          const changed = Buffer.from(payload);
          const at = (round * 31) % payload.length;
          changed[at] = (changed[at]! + round) & 0xff;
          expect(outcomeOf(changed)).toBeOneOf(outcomes);
          outcomeOf(payload.subarray(0, at));
          // Unique field names.
          outcomeOf(
            Buffer.concat([Buffer.from('93009181a8', 'hex'), Buffer.from(`k${1e6 + round}`), Buffer.from([0, 0])]),
          );
        }
      }
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = usedAfter(50);
    const growthBytesMax = 4 * 1024 * 1024;
    expect(usedAfter(300) - before).toBeLessThan(growthBytesMax);
  });
});
