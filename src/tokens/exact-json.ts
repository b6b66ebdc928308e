// JSON as Python's json module reads it: floats stay floats, integers stay whole, members keep their order.
//
// JSON.parse makes 1.0 of 1, rounds integers beyond 2^53 and moves members named "10" to the front. Another program
// hashes the text that is made of these values, so none of that may happen here.

import { type JsonOptions, JsonReader } from './json-reader.ts';
import type { Json } from './json-values.ts';

/** What longer texts say is read anew each time, so that it is not kept beside the text. */
const keptCharsMax = 65_536;

/** A JSON value as its text, which is what other programs are sent, and as what Python reads from it. */
export class JsonText {
  readonly text: string;
  #value: Json | undefined;

  /** @param text of one value, checked before or yet to be @param value what the text says, where that is known */
  constructor(text: string, value?: Json) {
    this.text = text;
    this.#value = value;
  }

  /** Of a value that is ours: no number in it is to be a float. */
  static of(value: unknown): JsonText {
    return new JsonText(JSON.stringify(value));
  }

  /** What it says is at hand, or soon read. */
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
