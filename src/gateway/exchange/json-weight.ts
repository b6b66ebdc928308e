// What a JSON text takes once it is parsed, told from its bytes before it is.

import type { BodyLease } from './body-budget.ts';
import { LimitReached } from './limit-reached.ts';

/** Objects, arrays and items of them; to parse more would keep everyone else waiting. More than a million token ids. */
export const jsonItemsMax: number = 1_048_576;

/** As V8 lays them out, rounded up. */
const objectBytes = 64;
const itemBytes = 12;
/** Half of what a text takes beside its characters: it has two quotes. */
const quoteBytes = 10;

/**
 * To be called before a body is parsed.
 * @param lease grows by what the value will take; null: nobody counts it
 * @throws LimitReached 413 or 503 if that is too much
 */
export function makeRoomForJson(json: Uint8Array, lease: BodyLease | null): void {
  const bytes = parsedBytes(json);
  lease?.growTo(lease.bytes + bytes);
}

/**
 * Bytes that stay in use as long as the parsed value does. What looks like structure inside of texts counts as well:
 * prose has little of it. Linear: about a nanosecond a byte.
 * @throws LimitReached 413 for more than `jsonItemsMax`
 */
export function parsedBytes(json: Uint8Array): number {
  let objects = 0;
  let items = 0;
  let quotes = 0;
  /** Bytes of characters beyond ASCII, and those of them that no character begins with. */
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
  // A text with one character beyond Latin-1 takes two bytes for each.
  const textBytes = foreign === 0 ? json.length : 2 * (json.length - following);
  return textBytes + objects * objectBytes + items * itemBytes + quotes * quoteBytes;
}
