// Text without added tokens -> token ids: split into words, look each up, merge the ones that are no token.
import { ByteMerger } from './merge-bytes.ts';
import { wordEnd } from './split-words.ts';
import type { TokenBuffer } from './token-buffer.ts';
import { hashBytes, type Vocabulary } from './vocabulary.ts';
import { WordCache } from './word-cache.ts';

/** UTF-8 bytes of one UTF-16 code unit, at most. */
const codeUnitBytesMax = 3;
/** Scratch for longer texts is not kept. */
const keptBytesMax = 1 << 20;

/** Byte-level BPE with cl100k's split pattern. Not shared: it keeps its scratch. */
export class ByteLevelEncoder {
  readonly #vocabulary: Vocabulary;
  readonly #merger: ByteMerger;
  readonly #words: WordCache = new WordCache();
  readonly #utf8 = new TextEncoder();
  #scratch: Uint8Array = new Uint8Array(16_384);

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#merger = new ByteMerger(vocabulary);
  }

  /** Appends the ids of `text`. Lone surrogates count as U+FFFD. */
  append(text: string, out: TokenBuffer): void {
    const vocabulary = this.#vocabulary;
    const words = this.#words;
    const bytes = this.#scratchFor(text.length * codeUnitBytesMax);
    const end = this.#utf8.encodeInto(text, bytes).written;
    // A token has at least one byte.
    const tokens = out.reserve(end);
    let position = out.length;
    let next = 0;
    for (let at = 0; at < end; at = next) {
      next = wordEnd(bytes, at, end);
      const hash = hashBytes(bytes, at, next);
      const id = next - at <= vocabulary.tokenBytesMax ? vocabulary.find(bytes, at, next, hash) : -1;
      if (id !== -1) {
        tokens[position++] = id;
        continue;
      }
      const from = position;
      position = words.read(bytes, at, next, hash, tokens, from);
      if (position === -1) {
        position = this.#merger.merge(bytes, at, next, tokens, from);
        words.write(bytes, at, next, hash, tokens, from, position);
      }
    }
    out.length = position;
  }

  #scratchFor(byteCount: number): Uint8Array {
    if (byteCount <= this.#scratch.length) return this.#scratch;
    const scratch = new Uint8Array(Math.max(byteCount, Math.min(byteCount * 2, keptBytesMax)));
    if (byteCount <= keptBytesMax) this.#scratch = scratch;
    return scratch;
  }
}
