// Finds the tokens that stand outside the vocabulary's merges (`<|im_start|>`) in a text.
import { assert } from '../core/assert.ts';

export interface AddedToken {
  readonly text: string;
  readonly id: number;
}

/** All of them start with `<|`, so that one `indexOf` passes over text that has none. */
export class AddedTokens {
  readonly #tokens: readonly AddedToken[];

  constructor(tokens: readonly AddedToken[]) {
    for (const token of tokens) assert(token.text.startsWith(opening), `added tokens start with ${opening}`);
    // Longest first: of two that start at one position the longer one is meant.
    this.#tokens = tokens.toSorted((a, b) => b.text.length - a.text.length);
  }

  /** Position of the first added token at or behind `from`, or -1. */
  indexIn(text: string, from: number): number {
    let at = text.indexOf(opening, from);
    while (at !== -1 && this.at(text, at) === undefined) at = text.indexOf(opening, at + 1);
    return at;
  }

  /** The added token that starts at this position. */
  at(text: string, position: number): AddedToken | undefined {
    return this.#tokens.find((token) => text.startsWith(token.text, position));
  }

  byId(id: number): AddedToken | undefined {
    return this.#tokens.find((token) => token.id === id);
  }

  get texts(): string[] {
    return this.#tokens.map((token) => token.text);
  }
}

const opening = '<|';
