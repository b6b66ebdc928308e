// Measures the shape of an engine's JSON as it arrives, so that an answer that would block the event loop is refused.
//
// Parsing is slow for many small values, and slowest for deep nesting: two megabytes of brackets take a hundred times
// as long as two megabytes of text.

/** Limits on one answer, in addition to its bytes. */
export interface JsonLimits {
  readonly containersMax: number;
  readonly stringsMax: number;
  /** Limit on commas; a container has one fewer than values. */
  readonly commasMax: number;
}

export const jsonNestingMax = 64;

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;

export class JsonShape {
  readonly #limits: JsonLimits;
  #containers = 0;
  #strings = 0;
  #commas = 0;
  #depth = 0;
  #inString = false;
  /** The next byte belongs to an escape sequence. */
  #escaped = false;

  constructor(limits: JsonLimits) {
    this.#limits = limits;
  }

  /** @returns a text about the exceeded limit, or null. O(bytes) */
  push(bytes: Uint8Array): string | null {
    const { containersMax, stringsMax, commasMax } = this.#limits;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === backslash) this.#escaped = true;
        else if (byte === quote) this.#inString = false;
      } else if (byte === comma) {
        if (++this.#commas > commasMax) return `more than ${commasMax} values`;
      } else if (byte === quote) {
        this.#inString = true;
        if (++this.#strings > stringsMax) return `more than ${stringsMax} strings`;
      } else {
        // `[` and `{`, `]` and `}` differ in one bit.
        const bracket = byte | 0x20;
        if (bracket === 0x7b) {
          if (++this.#depth > jsonNestingMax) return `nesting deeper than ${jsonNestingMax}`;
          if (++this.#containers > containersMax) return `more than ${containersMax} objects and arrays`;
        } else if (bracket === 0x7d) this.#depth -= 1;
      }
    }
    return null;
  }
}
