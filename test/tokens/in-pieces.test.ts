// Bytes that cross in pieces: whatever their number and order among others, they arrive whole, and only while wanted.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ArrivingTexts, type BytesPiece, pieceBytesMax, postInPieces } from '../../src/tokens/in-pieces.ts';

const patterned = (length: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 997) bytes[at] = (at * 31 + seed) & 0xff;
  return bytes;
};

it('texts that cross at the same time arrive whole, and keep their own bytes', async () => {
  const lengths = fc.constantFrom(0, 1, 1000, pieceBytesMax - 1, pieceBytesMax, pieceBytesMax + 1, 2.5 * pieceBytesMax);
  await fc.assert(
    fc.asyncProperty(fc.array(lengths, { minLength: 1, maxLength: 4 }), async (sizes) => {
      const arriving = new ArrivingTexts();
      const texts = sizes.map((size, seed) => patterned(size, seed));
      const sent = texts.map((bytes, text) =>
        postInPieces(
          text,
          bytes,
          (piece) => arriving.add(0, structuredClone(piece)),
          () => true,
        ),
      );
      expect(await Promise.all(sent)).toEqual(texts.map(() => true));
      for (const [text, bytes] of texts.entries()) expect(arriving.take(text).equals(bytes)).toBe(true);
    }),
    { numRuns: 20 },
  );
});

it('nothing more is posted once the text is not wanted', async () => {
  const posted: BytesPiece[] = [];
  const bytes = patterned(4 * pieceBytesMax, 1);
  const isPosted = await postInPieces(
    7,
    bytes,
    (piece) => posted.push(piece),
    () => posted.length < 2,
  );
  expect(isPosted).toBe(false);
  expect(posted.map(({ at }) => at)).toEqual([0, pieceBytesMax]);
});

it('the texts of a dropped group are forgotten, those of others are not', () => {
  const arriving = new ArrivingTexts();
  for (const text of [1, 2, 3]) arriving.add(text % 2, { text, totalBytes: 1, at: 0, bytes: Uint8Array.of(text) });
  arriving.dropGroup(1);
  expect(() => arriving.take(1)).toThrow('arrives before');
  expect(() => arriving.take(3)).toThrow('arrives before');
  expect([...arriving.take(2)]).toEqual([2]);
});
