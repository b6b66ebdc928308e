// Text without added tokens -> token ids: split into words, look each up, merge those that are not tokens.

import { ByteMerger } from './merge-bytes.ts';
import type { Merges } from './merges.ts';
import type { TextSplitter } from './text-splitter.ts';
import type { TokenBuffer } from './token-buffer.ts';
import { hashBytes, type Vocabulary } from './vocabulary.ts';
import { WordCache } from './word-cache.ts';
import type { WordScanner } from './word-scanner.ts';

/** Maximum UTF-8 bytes per UTF-16 code unit. */
const codeUnitBytesMax = 3;
/** Larger scratch buffers are not kept. */
const keptBytesMax = 1 << 20;

/** Byte-level BPE for any vocabulary and split pattern. Not shareable: it reuses its scratch buffer. */
export class ByteLevelEncoder {
  readonly #vocabulary: Vocabulary;
  readonly #splitter: TextSplitter;
  readonly #merger: ByteMerger;
  readonly #words: WordCache = new WordCache();
  readonly #utf8 = new TextEncoder();
  #scratch: Uint8Array = new Uint8Array(16_384);

  constructor(vocabulary: Vocabulary, merges: Merges, splitter: TextSplitter) {
    this.#vocabulary = vocabulary;
    this.#splitter = splitter;
    this.#merger = new ByteMerger(vocabulary, merges);
  }

  /** Appends the ids of `text`. Lone surrogates count as U+FFFD. */
  append(text: string, out: TokenBuffer): void {
    switch (this.#splitter.kind) {
      case 'scanner':
        this.#appendText(text, this.#splitter.scanner, out);
        break;
      case 'regexes':
        for (const word of this.#splitter.split(text)) this.#appendText(word, wholeText, out);
    }
  }

  #appendText(text: string, scanner: WordScanner, out: TokenBuffer): void {
    const bytes = this.#scratchFor(text.length * codeUnitBytesMax);
    const end = this.#utf8.encodeInto(text, bytes).written;
    // A token has at least one byte.
    const tokens = out.reserve(end);
    let position = out.length;
    let next = 0;
    for (let at = 0; at < end; at = next) {
      next = scanner.wordEnd(bytes, at, end);
      position = this.#appendWord(bytes, at, next, tokens, position);
    }
    out.length = position;
  }

  /** Writes the ids of one word to `tokens`. @returns the position after them */
  #appendWord(bytes: Uint8Array, start: number, end: number, tokens: Uint32Array, position: number): number {
    const vocabulary = this.#vocabulary;
    const hash = hashBytes(bytes, start, end);
    const id = end - start <= vocabulary.tokenBytesMax ? vocabulary.find(bytes, start, end, hash) : -1;
    if (id !== -1) {
      tokens[position] = id;
      return position + 1;
    }
    const known = this.#words.read(bytes, start, end, hash, tokens, position);
    if (known !== -1) return known;
    const merged = this.#merger.merge(bytes, start, end, tokens, position);
    this.#words.write(bytes, start, end, hash, tokens, position, merged);
    return merged;
  }

  #scratchFor(byteCount: number): Uint8Array {
    if (byteCount <= this.#scratch.length) return this.#scratch;
    const scratch = new Uint8Array(Math.max(byteCount, Math.min(byteCount * 2, keptBytesMax)));
    if (byteCount <= keptBytesMax) this.#scratch = scratch;
    return scratch;
  }
}

/** For words that are already split. */
const wholeText: WordScanner = { wordEnd: (_bytes, _at, end) => end, alwaysSplits: () => false };
