// The weight of a body before it is parsed, against a count byte by byte.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BodyBudget } from '../../../src/gateway/exchange/body-budget.ts';
import {
  jsonItemsMax,
  makeRoomForJson,
  makeRoomInTurns,
  parsedBytes,
} from '../../../src/gateway/exchange/json-weight.ts';
import { kernelBase64 } from '../../../src/gateway/exchange/json-weight-kernel.generated.ts';
import { LimitReached } from '../../../src/gateway/exchange/limit-reached.ts';

function naiveWeight(json: Uint8Array): number {
  const count = (...wanted: readonly number[]): number => json.filter((byte) => wanted.includes(byte)).length;
  const following = json.filter((byte) => byte >= 0x80 && byte < 0xc0).length;
  const isLatin = json.every((byte) => byte < 0x80);
  const text = isLatin ? json.length : 2 * (json.length - following);
  return text + 192 * count(0x5b, 0x7b) + 12 * count(0x2c) + 10 * count(0x22);
}

describe('parsedBytes', () => {
  it('equals the count byte by byte, for any bytes', () => {
    const bytes = fc
      .array(fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('[]{},:";Kk語é\u001f '))))
      .map((all) => Uint8Array.from(all));
    fc.assert(
      fc.property(bytes, (json) => {
        expect(parsedBytes(json)).toBe(naiveWeight(json));
        expect(makeRoomForJson(json, null)).toBe(json.some((byte) => byte < 0x20));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  it('equals it for bodies of several pieces', () => {
    for (const length of [4079, 4080, 4081, 131_071, 131_072, 131_073, 400_000]) {
      const json = Buffer.from('{"text":["é,語","[]"]}'.repeat(Math.ceil(length / 20))).subarray(0, length);
      expect(parsedBytes(json)).toBe(naiveWeight(json));
    }
  });

  it('counts up to what a byte holds in every lane, and beyond', () => {
    for (const length of [16 * 255, 16 * 256, 131_072, 131_088]) {
      for (const byte of [...Buffer.from('[,"'), 0x00, 0x80, 0xff]) {
        const json = Buffer.alloc(length, byte);
        expect(parsedBytes(json)).toBe(naiveWeight(json));
        expect(makeRoomForJson(json, null)).toBe(byte === 0);
      }
    }
  });

  it('admits objects, arrays and items up to the limit', () => {
    expect(parsedBytes(Buffer.alloc(jsonItemsMax, ','))).toBe(jsonItemsMax * 13);
    expect(() => parsedBytes(Buffer.alloc(jsonItemsMax + 1, ','))).toThrow(LimitReached);
  });

  it('is the same when it is counted in turns, and admits as much', async () => {
    const budget = new BodyBudget(() => 1e12);
    let turns = 0;
    const turn = async (): Promise<void> => {
      turns += 1;
    };
    for (const length of [0, 1, 1_048_576, 1_048_577, 3_000_000]) {
      const json = Buffer.from('{"text":["é,語","[]"]}'.repeat(Math.ceil(length / 20))).subarray(0, length);
      const lease = budget.lease();
      lease.growTo(7);
      await makeRoomInTurns(json, lease, turn);
      expect(lease.bytes).toBe(7 + parsedBytes(json));
    }
    expect(turns).toBe(3);
    const tooMany = Buffer.alloc(jsonItemsMax + 1, ',');
    await expect(makeRoomInTurns(tooMany, null, turn)).rejects.toThrow(LimitReached);
  });

  it('is counted by the kernel that its source compiles to', async () => {
    const { compileKernel } = (await import('../../../scripts/build-kernel.mjs' as string)) as {
      compileKernel(name: string): Promise<Buffer>;
    };
    expect((await compileKernel('json-weight')).toString('base64')).toBe(kernelBase64);
  });
});
