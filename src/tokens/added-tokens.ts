// Finds added tokens (`<|im_start|>`), which stand outside the vocabulary's merges, in a text.

import type { AddedTokenSpec } from './byte-level-spec.ts';
import { isWhite, isWordCharacter } from './hugging-face-unicode.ts';

/** A part of a text: an added token, or, if `token` is undefined, the text between two of them (never empty). */
export interface TextPart {
  readonly from: number;
  readonly to: number;
  readonly token: AddedTokenSpec | undefined;
}

/** Failed matches between two yields. */
const missesPerStep = 16_384;

/** Keyed by UTF-16 code unit; `token` is set where a token ends. */
interface TrieNode {
  readonly next: Map<number, TrieNode>;
  token: AddedTokenSpec | undefined;
}

/** Matches as the Rust `tokenizers` package does: leftmost first, the longest of those with the same start. */
export class AddedTokens {
  readonly #root: TrieNode = { next: new Map(), token: undefined };
  /** Common prefixes of the tokens that share a first character, so that `indexOf` can skip text without any. */
  readonly #openings: readonly string[];

  constructor(tokens: readonly AddedTokenSpec[]) {
    const openings = new Map<string, string>();
    for (const token of tokens) {
      const opening = openings.get(token.text[0]!);
      openings.set(token.text[0]!, opening === undefined ? token.text : commonStart(opening, token.text));
      let node = this.#root;
      for (let at = 0; at < token.text.length; at++) {
        const codeUnit = token.text.charCodeAt(at);
        const next = node.next.get(codeUnit) ?? { next: new Map(), token: undefined };
        node.next.set(codeUnit, next);
        node = next;
      }
      node.token = token;
    }
    this.#openings = [...openings.values()];
  }

  /** The parts of a text, in order and without gaps. */
  split(text: string): TextPart[] {
    const parts: TextPart[] = [];
    for (const part of this.parts(text)) if (part !== null) parts.push(part);
    return parts;
  }

  /** Yields the parts one by one, and sometimes null, where a long search may be paused. */
  *parts(text: string): Generator<TextPart | null> {
    let misses = 0;
    /** End of the last part. */
    let done = 0;
    const positions: number[] = [];
    for (const opening of this.#openings) positions.push(text.indexOf(opening));
    for (let at = 0; at < text.length; ) {
      const start = this.#nextOpening(text, at, positions);
      if (start === -1) break;
      const token = this.#longestAt(text, start);
      if (token === undefined) {
        at = start + 1;
        if (++misses % missesPerStep === 0) yield null;
        continue;
      }
      // A token that is not allowed here is skipped as a whole.
      at = start + token.text.length;
      if (token.singleWord && !standsAlone(text, start, at)) continue;
      const from = token.lstrip ? whiteStart(text, done, start) : start;
      const to = token.rstrip ? whiteEnd(text, at) : at;
      if (done < from) yield { from: done, to: from, token: undefined };
      // A token whose characters all went to the previous part is dropped.
      if (from < to) yield { from, to, token };
      done = to;
    }
    if (done < text.length) yield { from: done, to: text.length, token: undefined };
  }

  /** @param positions next position of each opening, at or before `from` if outdated; -1: none left */
  #nextOpening(text: string, from: number, positions: number[]): number {
    let nearest = -1;
    for (let index = 0; index < positions.length; index++) {
      let position = positions[index]!;
      if (position !== -1 && position < from) {
        position = text.indexOf(this.#openings[index]!, from);
        positions[index] = position;
      }
      if (position !== -1 && (nearest === -1 || position < nearest)) nearest = position;
    }
    return nearest;
  }

  #longestAt(text: string, start: number): AddedTokenSpec | undefined {
    let longest: AddedTokenSpec | undefined;
    let node: TrieNode | undefined = this.#root;
    for (let at = start; node !== undefined; at++) {
      longest = node.token ?? longest;
      node = at < text.length ? node.next.get(text.charCodeAt(at)) : undefined;
    }
    return longest;
  }
}

function commonStart(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return one.slice(0, length);
}

function standsAlone(text: string, from: number, to: number): boolean {
  return !isWordCharacter(codePointBefore(text, from)) && !isWordCharacter(text.codePointAt(to) ?? -1);
}

/** -1 at the start of the text. */
function codePointBefore(text: string, at: number): number {
  const last = text.charCodeAt(at - 1);
  const isPair = (last & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 2) & 0xfc00) === 0xd800;
  return at === 0 ? -1 : isPair ? text.codePointAt(at - 2)! : last;
}

/** Start of the whitespace that ends at `to`, not before `from`. All whitespace is in Unicode's first plane. */
function whiteStart(text: string, from: number, to: number): number {
  let at = Math.max(from, to);
  while (at > from && isWhite(text.charCodeAt(at - 1))) at--;
  return at;
}

function whiteEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && isWhite(text.charCodeAt(at))) at++;
  return at;
}
