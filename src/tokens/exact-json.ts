// JSON as Python's json module reads it: floats stay floats, integers stay exact, members keep their order.
//
// JSON.parse turns 1.0 into 1, rounds integers beyond 2^53 and moves members named "10" to the front. Another program
// hashes text made from these values, so none of this may happen here.

import { type JsonOptions, JsonReader } from './json-reader.ts';
import type { Json } from './json-values.ts';

/** The values of longer texts are parsed on each use instead of being kept. */
const keptCharsMax = 65_536;

/** A JSON value: its text, which is sent to other programs, and its value as Python reads it. */
export class JsonText {
  readonly text: string;
  #value: Json | undefined;

  /** @param text of one value, valid or still unchecked @param value the parsed text, if known */
  constructor(text: string, value?: Json) {
    this.text = text;
    this.#value = value;
  }

  /** For values of our own, which must not contain floats. */
  static of(value: unknown): JsonText {
    return new JsonText(JSON.stringify(value));
  }

  /** The value is known, or quick to parse. */
  get isShort(): boolean {
    return this.#value !== undefined || this.text.length <= keptCharsMax;
  }

  /** @throws JsonError */
  get value(): Json {
    if (this.#value !== undefined) return this.#value;
    const value = parseJson(this.text);
    if (this.text.length <= keptCharsMax) this.#value = value;
    return value;
  }
}

/** @throws JsonError */
export function parseJson(text: string, options: JsonOptions = {}): Json {
  const reader = new JsonReader(text, options);
  while (!reader.read(Number.POSITIVE_INFINITY));
  return reader.value;
}
