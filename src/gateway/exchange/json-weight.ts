// Estimates the memory of parsed JSON from its bytes, before it is parsed.

import type { BodyLease } from './body-budget.ts';
import { LimitReached } from './limit-reached.ts';

/** Limit on objects, arrays and items: parsing more would block the event loop. Allows about a million token ids. */
export const jsonItemsMax: number = 1_048_576;

/** What an object or array takes while it is read and checked, measured on bodies of nothing else. */
const objectBytes = 192;
const itemBytes = 12;
/** Overhead per quote: half of a string's memory besides its characters. */
const quoteBytes = 10;

/**
 * Reserves memory for a body's parsed value. To be called before parsing.
 * @param lease grows by the estimate; null if the request is not counted
 * @throws LimitReached 413 or 503 if it does not fit
 */
export function makeRoomForJson(json: Uint8Array, lease: BodyLease | null): void {
  const bytes = parsedBytes(json);
  lease?.growTo(lease.bytes + bytes);
}

/**
 * Estimated memory of the parsed value. Punctuation inside strings counts too; prose has little of it. Linear: about a
 * nanosecond per byte.
 * @throws LimitReached 413 for more than `jsonItemsMax`
 */
export function parsedBytes(json: Uint8Array): number {
  let objects = 0;
  let items = 0;
  let quotes = 0;
  /** Non-ASCII bytes, and how many of them are UTF-8 continuation bytes. */
  let foreign = 0;
  let following = 0;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (byte === 0x22) quotes += 1;
    else if (byte === 0x2c) items += 1;
    else if (byte === 0x5b || byte === 0x7b) objects += 1;
    else if (byte >= 0x80) {
      foreign += 1;
      if (byte < 0xc0) following += 1;
    }
  }
  if (objects + items > jsonItemsMax) {
    const message = `the body has more than ${jsonItemsMax} objects, arrays and items`;
    throw new LimitReached('jsonItemsMax', 413, 'body_too_large', message);
  }
  // A string with any character beyond Latin-1 takes two bytes for each.
  const textBytes = foreign === 0 ? json.length : 2 * (json.length - following);
  return textBytes + objects * objectBytes + items * itemBytes + quotes * quoteBytes;
}
