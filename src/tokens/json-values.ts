// JSON values as Python's json module has them, and what one document may hold.

/** A number that was written with a fraction or an exponent. */
export class JsonFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** Integers within 2^53 are numbers, larger ones bigints. Of members with one name the last counts, in the first's place. */
export type Json = null | boolean | string | number | bigint | JsonFloat | JsonList | JsonObject;
export type JsonList = readonly Json[];
export type JsonObject = ReadonlyMap<string, Json>;

/** Containers in containers; neither schemas nor messages come near it. */
export const jsonDepthMax = 500;
/** Values in one document: an object with two members is three. */
export const jsonValuesMax = 250_000;

/** The text is no JSON, or it exceeds one of the limits. */
export class JsonError extends Error {
  /** The limit that it exceeds; null: it is no JSON. */
  readonly limit: 'jsonDepthMax' | 'jsonValuesMax' | 'integerDigitsMax' | null;

  constructor(message: string, limit: JsonError['limit'] = null) {
    super(message);
    this.name = 'JsonError';
    this.limit = limit;
  }
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}
