// Estimates the memory of parsed JSON from its bytes, before it is parsed.

import type { BodyLease } from './body-budget.ts';
import { kernelBase64 } from './json-weight-kernel.generated.ts';
import { LimitReached } from './limit-reached.ts';

/** Limit on objects, arrays and items: parsing more would block the event loop. Allows about a million token ids. */
export const jsonItemsMax: number = 1_048_576;

/** Weighing so many bytes takes less than a millisecond. */
const turnBytesMax = 1_048_576;

/** What an object or array takes while it is read and checked, measured on bodies of nothing else. */
const objectBytes = 192;
const itemBytes = 12;
/** Overhead per quote: half of a string's memory besides its characters. */
const quoteBytes = 10;

/**
 * Reserves memory for a body's parsed value. To be called before parsing.
 * @param lease grows by the estimate; null if the request is not counted
 * @returns whether it holds control characters, which may stand between values, but not in strings
 * @throws LimitReached 413 or 503 if it does not fit
 */
export function makeRoomForJson(json: Uint8Array, lease: BodyLease | null): boolean {
  const bytes = parsedBytes(json);
  const hasControls = counts[controlsAt] !== 0;
  lease?.growTo(lease.bytes + bytes);
  return hasControls;
}

/** As `makeRoomForJson`, for a large body. @param turn settles in a later turn of the event loop */
export async function makeRoomInTurns(
  json: Uint8Array,
  lease: BodyLease | null,
  turn: () => Promise<unknown>,
): Promise<void> {
  const sums = new Uint32Array(counts.length);
  for (let at = 0; at < json.length; at += turnBytesMax) {
    if (at > 0) await turn();
    weigh(json.subarray(at, at + turnBytesMax));
    for (const [kind, count] of counts.entries()) sums[kind]! += count;
  }
  const bytes = weightOf(json.length, sums);
  lease?.growTo(lease.bytes + bytes);
}

/**
 * Estimated memory of the parsed value. Punctuation inside strings counts too; prose has little of it. Linear: a fraction
 * of a nanosecond per byte.
 * @throws LimitReached 413 for more than `jsonItemsMax`
 */
export function parsedBytes(json: Uint8Array): number {
  weigh(json);
  return weightOf(json.length, counts);
}

/**
 * @param length of the text
 * @param kinds number of its bytes of each kind, as `weigh` counts them
 * @throws LimitReached
 */
function weightOf(length: number, kinds: Uint32Array): number {
  const [objects, commas, quotes, foreign, following] = kinds as unknown as readonly [
    number,
    number,
    number,
    number,
    number,
  ];
  if (objects + commas > jsonItemsMax) {
    const message = `the body has more than ${jsonItemsMax} objects, arrays and items`;
    throw new LimitReached('jsonItemsMax', 413, 'body_too_large', message);
  }
  // A string with any character beyond Latin-1 takes two bytes for each.
  const textBytes = foreign === 0 ? length : 2 * (length - following);
  return textBytes + objects * objectBytes + commas * itemBytes + quotes * quoteBytes;
}

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer };
  weigh(at: number, length: number, out: number): void;
}

// biome-ignore lint/style/useNamingConvention: the name is the platform's.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

const { memory, weigh: weighPiece } = new WebAssembly.Instance(
  new WebAssembly.Module(Buffer.from(kernelBase64, 'base64')),
).exports as Kernel;
const countsAt = 4096;
const pieceAt = countsAt + 64;
/** Texts are counted in pieces that fit the processor's first caches. */
const pieceBytesMax = 131_072;
/** `[` and `{`, commas, quotes, bytes beyond ASCII, those of them that continue a character, and control characters. */
const counts = new Uint32Array(memory.buffer, countsAt, 6);
const controlsAt = 5;
/** Is not counted. */
const space = 0x20;
const piece = new Uint8Array(memory.buffer, pieceAt, pieceBytesMax);

/** Counts into `counts`. */
function weigh(json: Uint8Array): void {
  counts.fill(0);
  for (let at = 0; at < json.length; at += pieceBytesMax) {
    const bytes = json.length - at <= pieceBytesMax && at === 0 ? json : json.subarray(at, at + pieceBytesMax);
    piece.set(bytes);
    const length = (bytes.length + 15) & ~15;
    piece.fill(space, bytes.length, length);
    weighPiece(pieceAt, length, countsAt);
  }
}
