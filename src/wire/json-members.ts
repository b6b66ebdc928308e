// Finds the byte range of a member of a JSON object without parsing any value.

import { assert } from '../core/assert.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** From the first byte of a value to the one after its last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * The value of the last member with that name, which is the one that counts; null if there is none.
 * @param json bytes that `JSON.parse` accepts
 * @param open offset of the object's `{`
 */
export function lastMember(json: Buffer, open: number, name: string): Span | null {
  return findMembers(json, open, name).last;
}

/** Number of members with that name. */
export function memberCount(json: Buffer, open: number, name: string): number {
  return findMembers(json, open, name).count;
}

function findMembers(json: Buffer, open: number, name: string): { readonly last: Span | null; readonly count: number } {
  let last: Span | null = null;
  let count = 0;
  let at = skipSpace(json, open + 1);
  while (json[at] !== CLOSE_OBJECT) {
    const nameEnd = stringEnd(json, at);
    const start = skipSpace(json, skipSpace(json, nameEnd) + 1);
    const end = valueEnd(json, start);
    if (isName(json, at, nameEnd, name)) {
      last = { start, end };
      count += 1;
    }
    at = skipSpace(json, end);
    if (json[at] === COMMA) at = skipSpace(json, at + 1);
  }
  return { last, count };
}

/** @param open offset of the object's `{` */
export function isEmptyObject(json: Buffer, open: number): boolean {
  return json[skipSpace(json, open + 1)] === CLOSE_OBJECT;
}

/** @returns the JSON with the span replaced by the text */
export function replaceSpan(json: Buffer, { start, end }: Span, text: string): Buffer {
  return Buffer.concat([json.subarray(0, start), Buffer.from(text, 'latin1'), json.subarray(end)]);
}

export function skipSpace(json: Buffer, from: number): number {
  let at = from;
  while (isSpace(json[at])) at += 1;
  return at;
}

/** Any character of a name may be escaped. */
function isName(json: Buffer, start: number, end: number, name: string): boolean {
  const text = json.toString('utf8', start, end);
  return text.includes('\\') ? JSON.parse(text) === name : text === `"${name}"`;
}

function valueEnd(json: Buffer, start: number): number {
  switch (json[start]) {
    case QUOTE:
      return stringEnd(json, start);
    case OPEN_OBJECT:
    case OPEN_ARRAY:
      return nestedEnd(json, start);
    default:
      return literalEnd(json, start);
  }
}

function nestedEnd(json: Buffer, start: number): number {
  let depth = 0;
  let at = start;
  do {
    const byte = json[at];
    assert(byte !== undefined, 'no end of a JSON value');
    if (byte === QUOTE) {
      at = stringEnd(json, at);
      continue;
    }
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth += 1;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth -= 1;
    at += 1;
  } while (depth > 0);
  return at;
}

function stringEnd(json: Buffer, start: number): number {
  for (let quote = start; ; ) {
    quote = json.indexOf(QUOTE, quote + 1);
    assert(quote !== -1, 'no end of a JSON string');
    let escapes = quote;
    while (json[escapes - 1] === BACKSLASH) escapes -= 1;
    if ((quote - escapes) % 2 === 0) return quote + 1;
  }
}

/** End of a number, `true`, `false` or `null`. */
function literalEnd(json: Buffer, start: number): number {
  let at = start;
  for (; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte)) break;
  }
  assert(at > start, 'no value in JSON');
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
