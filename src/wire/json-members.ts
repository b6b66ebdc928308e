// Finds the byte range of a member of a JSON object without parsing any value.

import { assert } from '../core/assert.ts';

const quoteCode = 0x22;
const commaCode = 0x2c;
const openArrayCode = 0x5b;
const backslashCode = 0x5c;
const closeArrayCode = 0x5d;
const openObjectCode = 0x7b;
const closeObjectCode = 0x7d;

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

/** As `lastMember`, for several names in one pass. */
export function lastMembers(json: Buffer, open: number, names: readonly string[]): ReadonlyMap<string, Span> {
  const found = new Map<string, Span>();
  walkMembers(json, open, (start, end, value) => {
    const name = names.find((one) => isName(json, start, end, one));
    if (name !== undefined) found.set(name, value);
  });
  return found;
}

function findMembers(json: Buffer, open: number, name: string): { readonly last: Span | null; readonly count: number } {
  let last: Span | null = null;
  let count = 0;
  walkMembers(json, open, (start, end, value) => {
    if (!isName(json, start, end, name)) return;
    last = value;
    count += 1;
  });
  return { last, count };
}

/** Calls back for each member with the offsets of its name, quotes included, and its value. */
function walkMembers(
  json: Buffer,
  open: number,
  visit: (nameStart: number, nameEnd: number, value: Span) => void,
): void {
  let at = skipSpace(json, open + 1);
  while (json[at] !== closeObjectCode) {
    const nameEnd = stringEnd(json, at);
    const start = skipSpace(json, skipSpace(json, nameEnd) + 1);
    const end = valueEnd(json, start);
    visit(at, nameEnd, { start, end });
    at = skipSpace(json, end);
    if (json[at] === commaCode) at = skipSpace(json, at + 1);
  }
}

/** @param open offset of the object's `{` */
export function isEmptyObject(json: Buffer, open: number): boolean {
  return json[skipSpace(json, open + 1)] === closeObjectCode;
}

/** @returns the JSON with the span replaced by the text */
export function replaceSpan(json: Buffer, { start, end }: Span, text: string): Buffer {
  return Buffer.concat([json.subarray(0, start), Buffer.from(text, 'latin1'), json.subarray(end)]);
}

/** A part of a JSON text that is replaced by another text. */
export interface SpanEdit extends Span {
  readonly by: string | Buffer;
}

/** @param edits that don't overlap; those at one place stay in their order @returns the JSON with all of them made */
export function editSpans(json: Buffer, edits: readonly SpanEdit[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, by } of [...edits].sort((a, b) => a.start - b.start)) {
    parts.push(json.subarray(at, start), typeof by === 'string' ? Buffer.from(by) : by);
    at = end;
  }
  return Buffer.concat([...parts, json.subarray(at)]);
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
    case quoteCode:
      return stringEnd(json, start);
    case openObjectCode:
    case openArrayCode:
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
    if (byte === quoteCode) {
      at = stringEnd(json, at);
      continue;
    }
    if (byte === openObjectCode || byte === openArrayCode) depth += 1;
    else if (byte === closeObjectCode || byte === closeArrayCode) depth -= 1;
    at += 1;
  } while (depth > 0);
  return at;
}

function stringEnd(json: Buffer, start: number): number {
  for (let quote = start; ; ) {
    quote = json.indexOf(quoteCode, quote + 1);
    assert(quote !== -1, 'no end of a JSON string');
    let escapes = quote;
    while (json[escapes - 1] === backslashCode) escapes -= 1;
    if ((quote - escapes) % 2 === 0) return quote + 1;
  }
}

/** End of a number, `true`, `false` or `null`. */
function literalEnd(json: Buffer, start: number): number {
  let at = start;
  for (; at < json.length; at++) {
    const byte = json[at]!;
    if (byte === commaCode || byte === closeObjectCode || byte === closeArrayCode || isSpace(byte)) break;
  }
  assert(at > start, 'no value in JSON');
  return at;
}

export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
