// JSON as Python's json module reads it: floats stay floats, integers stay exact, members keep their order.
//
// JSON.parse turns 1.0 into 1, rounds integers beyond 2^53 and moves members named "10" to the front. Another program
// hashes text made from these values, so none of this may happen here.

import { type JsonOptions, JsonReader } from './json-reader.ts';
import type { Json } from './json-values.ts';
import type { LongText } from './long-text.ts';

/** The values of longer texts are parsed on each use instead of being kept. */
const keptCharsMax = 65_536;

/** A JSON value: its text, which is sent to other programs, and its value as Python reads it. */
export class JsonText {
  readonly written: string | LongText;
  #value: Json | undefined;

  /** @param written text of one value, valid or still unchecked @param value the parsed text, if known */
  constructor(written: string | LongText, value?: Json) {
    this.written = written;
    this.#value = value;
  }

  /** O(characters) if it is a `LongText`. */
  get text(): string {
    return this.written.toString();
  }

  /** Length of the text in UTF-16 code units. */
  get chars(): number {
    return this.written.length;
  }

  /** For values of our own, which must not contain floats. */
  static of(value: unknown): JsonText {
    return new JsonText(JSON.stringify(value));
  }

  /** The value is known, or quick to parse. */
  get isShort(): boolean {
    return this.#value !== undefined || this.chars <= keptCharsMax;
  }

  /** @throws JsonError */
  get value(): Json {
    if (this.#value !== undefined) return this.#value;
    const value = parseJson(this.text);
    if (this.chars <= keptCharsMax) this.#value = value;
    return value;
  }
}

/** @throws JsonError */
export function parseJson(text: string, options: JsonOptions = {}): Json {
  const reader = new JsonReader(text, options);
  while (!reader.read(Number.POSITIVE_INFINITY));
  return reader.value;
}
