// JSON values as in Python's json module, and the limits of one document.

/** A number written with a fraction or an exponent. */
export class JsonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/**
 * Integers within 2^53 are numbers, larger ones bigints. For equal names the last value counts, at the first one's
 * position.
 */
export type Json = null | boolean | string | number | bigint | JsonFloat | JsonList | JsonObject;
export type JsonList = readonly Json[];
export type JsonObject = ReadonlyMap<string, Json>;

/** Limit on nesting; real schemas and messages stay far below. */
export const jsonDepthMax = 500;
/** Limit on values in one document; an object with two members counts as three. */
export const jsonValuesMax = 250_000;
/** Limit on the characters of a member's name: V8 hashes longer strings by their length alone, so they all collide. */
export const jsonNameCharsMax = 16_383;

/** The text is not JSON, or exceeds a limit. */
export class JsonError extends Error {
  /** The exceeded limit; null if the text is not JSON. */
  readonly limit: 'jsonDepthMax' | 'jsonValuesMax' | 'jsonNameCharsMax' | 'integerDigitsMax' | null;

  constructor(message: string, limit: JsonError['limit'] = null) {
    super(message);
    this.name = 'JsonError';
    this.limit = limit;
  }
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}
