// Where a server-sent event ends in a run of bytes, and its data.

import { SseSplitter } from './sse.ts';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/**
 * The data of an event, of one line as engines send it or of any other form; null: it has none.
 * @throws RangeError if the event exceeds the limits of `SseSplitter`
 */
export function dataOf(event: Buffer): string | null {
  const end = event.length - 2;
  if (event.indexOf(lineFeed) < end || event[end - 1] === carriageReturn) return anyDataOf(event);
  const text = event.toString('utf8', 0, end);
  if (!text.startsWith('data:')) return null;
  return text.startsWith('data: ') ? text.slice(6) : text.slice(5);
}

function anyDataOf(event: Buffer): string | null {
  let data: string | null = null;
  new SseSplitter((one) => {
    data = one;
  }).push(event);
  return data;
}

/** Offset behind the next blank line that ends an event; -1: there is none. */
export function eventEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(lineFeed, from); at !== -1; at = bytes.indexOf(lineFeed, at + 1)) {
    if (bytes[at + 1] === lineFeed) return at + 2;
    if (bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed) return at + 3;
  }
  return -1;
}
