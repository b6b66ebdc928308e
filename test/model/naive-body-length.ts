// Naive twin of the length of a JSON body: recursive.

import type { BodyLength } from '../../src/wire/body-length.ts';

const add = (one: BodyLength, other: BodyLength): BodyLength => ({
  textBytes: one.textBytes + other.textBytes,
  tokens: one.tokens + other.tokens,
  otherParts: one.otherParts + other.otherParts,
  fileBytes: 0,
});

const nothing: BodyLength = { textBytes: 0, tokens: 0, otherParts: 0, fileBytes: 0 };

/** Without the repetition of a query. */
export function naiveBodyLength(value: unknown): BodyLength {
  if (typeof value === 'string') {
    return value.startsWith('data:')
      ? { ...nothing, otherParts: 1 }
      : { ...nothing, textBytes: new TextEncoder().encode(value).length };
  }
  if (Array.isArray(value)) {
    return typeof value[0] === 'number'
      ? { ...nothing, tokens: value.length }
      : value.map(naiveBodyLength).reduce(add, nothing);
  }
  return typeof value === 'object' && value !== null
    ? Object.values(value).map(naiveBodyLength).reduce(add, nothing)
    : nothing;
}
