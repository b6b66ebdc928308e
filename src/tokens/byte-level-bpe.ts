// Exact byte-level BPE of whole texts in the calling thread: added tokens, normalization, segments, words.

import { AddedTokens } from './added-tokens.ts';
import { ByteLevelEncoder } from './byte-level-encoder.ts';
import type { AddedTokenSpec, ByteLevelSpec } from './byte-level-spec.ts';
import { normalizeNfc } from './hugging-face-unicode.ts';
import type { Merges } from './merges.ts';
import { SegmentCache } from './segment-cache.ts';
import type { TextSplitter } from './text-splitter.ts';
import { TokenBuffer } from './token-buffer.ts';
import { TokenKernel } from './token-kernel.ts';
import type { TokenizerTurn } from './tokenizer-turn.ts';
import type { Vocabulary } from './vocabulary.ts';

/** Memory of the segment cache. */
const segmentCacheBytesMax = 32 * 1024 * 1024;
/** Longer texts are encoded in segments that end at the first certain word boundary after this many characters. */
const segmentChars = 16_384;
/** Shorter segments are encoded faster than they are looked up and stored. */
const cachedSegmentCharsMin = 64;

export interface ByteLevelParts {
  readonly spec: Pick<ByteLevelSpec, 'addedTokens' | 'nfc' | 'blankBefore' | 'idsBefore' | 'idsBehind'>;
  readonly vocabulary: Vocabulary;
  readonly merges: Merges;
  readonly splitter: TextSplitter;
  readonly segmentCacheBytesMax?: number | undefined;
}

/** Time of a character without the kernel, at least, in times with it. */
const slowCharCost = 4;

/** Not shared between threads; everything is synchronous. */
export class ByteLevelBpe {
  readonly vocabSize: number;
  /** Time that a character takes: 1 with the kernel, more without. */
  readonly charCost: number;
  readonly addedTexts: readonly string[];
  readonly #spec: ByteLevelParts['spec'];
  readonly #vocabulary: Vocabulary;
  readonly #splitter: TextSplitter;
  readonly #parts: ByteLevelParts;
  /** Null for patterns without a scanner, and for vocabularies beyond the kernel's tables. */
  readonly #kernel: TokenKernel | null;
  #slowEncoder: ByteLevelEncoder | undefined;
  readonly #rawTokens: AddedTokens;
  /** Null if no added token is matched in normalized text. */
  readonly #normalizedTokens: AddedTokens | null;
  readonly #addedById: ReadonlyMap<number, AddedTokenSpec>;
  readonly #segments: SegmentCache;
  readonly #out = new TokenBuffer();

  constructor(parts: ByteLevelParts) {
    const { spec, vocabulary, merges, splitter } = parts;
    const { addedTokens } = spec;
    this.#spec = spec;
    this.#vocabulary = vocabulary;
    this.#splitter = splitter;
    this.#parts = parts;
    const cacheBytesMax = parts.segmentCacheBytesMax ?? segmentCacheBytesMax;
    this.#kernel =
      splitter.kind === 'scanner' && TokenKernel.takes(vocabulary, merges)
        ? new TokenKernel({ vocabulary, merges, rules: splitter.scanner.rules, chunkBytesMax: cacheBytesMax })
        : null;
    this.charCost = this.#kernel === null ? slowCharCost : 1;
    this.#rawTokens = new AddedTokens(addedTokens.filter(({ normalized }) => !normalized));
    const normalized = addedTokens.filter((token) => token.normalized);
    const normalize = (text: string): string => (spec.nfc ? normalizeNfc(text) : text);
    this.#normalizedTokens =
      normalized.length === 0
        ? null
        : new AddedTokens(normalized.map((token) => ({ ...token, text: normalize(token.text) })));
    this.#addedById = new Map(addedTokens.map((token) => [token.id, token]));
    this.#segments = new SegmentCache(this.#kernel === null ? cacheBytesMax : 0);
    this.vocabSize = addedTokens.reduce((size, { id }) => Math.max(size, id + 1), vocabulary.size);
    this.addedTexts = addedTokens.map(({ text }) => text);
  }

  /**
   * @param addSpecialTokens adds BOS and similar tokens around the text
   * @param turn gives memory for the ids
   */
  encode(text: string, addSpecialTokens: boolean, turn?: TokenizerTurn): Uint32Array {
    const out = this.#out;
    out.clear();
    if (addSpecialTokens) for (const id of this.#spec.idsBefore) out.push(id);
    for (const { from, to, token } of this.#rawTokens.split(text)) {
      if (token !== undefined) out.push(token.id);
      else this.#appendUnnormalized(text.slice(from, to));
    }
    if (addSpecialTokens) for (const id of this.#spec.idsBehind) out.push(id);
    return turn === undefined ? out.copyFrom(0) : out.copyTo(turn.room(out.length));
  }

  /** Like `encode`, but can be paused at each `yield`, every few thousand characters. */
  *encodeSteps(text: string, addSpecialTokens: boolean): Generator<void, Uint32Array> {
    const out = new TokenBuffer();
    if (addSpecialTokens) for (const id of this.#spec.idsBefore) out.push(id);
    for (const part of this.#rawTokens.parts(text)) {
      if (part === null) yield;
      else if (part.token !== undefined) out.push(part.token.id);
      else yield* this.#unnormalizedSteps(text.slice(part.from, part.to), out);
    }
    if (addSpecialTokens) for (const id of this.#spec.idsBehind) out.push(id);
    return out.copyFrom(0);
  }

  *#unnormalizedSteps(text: string, out: TokenBuffer): Generator<void, void> {
    const normalized = this.#spec.nfc ? normalizeNfc(text) : text;
    if (this.#normalizedTokens === null) {
      yield* this.#plainSteps(normalized, out);
      return;
    }
    for (const part of this.#normalizedTokens.parts(normalized)) {
      if (part === null) yield;
      else if (part.token !== undefined) out.push(part.token.id);
      else yield* this.#plainSteps(normalized.slice(part.from, part.to), out);
    }
  }

  *#plainSteps(text: string, out: TokenBuffer): Generator<void, void> {
    const plain = this.#withBlank(text);
    let next = 0;
    for (let at = 0; at < plain.length; at = next) {
      next = this.#segmentEnd(plain, at);
      this.#appendSegment(plain.slice(at, next), out);
      yield;
    }
  }

  /** Invalid UTF-8 and ids without a token become U+FFFD. */
  decode(ids: ArrayLike<number>): string {
    return Buffer.concat(Array.from(ids, (id) => this.#bytesOf(id))).toString();
  }

  #bytesOf(id: number): Uint8Array {
    const added = this.#addedById.get(id);
    if (added !== undefined) return Buffer.from(added.text);
    const bytes = id < this.#vocabulary.size ? this.#vocabulary.tokenBytes(id) : noBytes;
    return bytes.length > 0 ? bytes : Buffer.from('\ufffd');
  }

  #appendUnnormalized(text: string): void {
    const normalized = this.#spec.nfc ? normalizeNfc(text) : text;
    if (this.#normalizedTokens === null) {
      this.#appendPlain(normalized);
      return;
    }
    for (const { from, to, token } of this.#normalizedTokens.split(normalized)) {
      if (token !== undefined) this.#out.push(token.id);
      else this.#appendPlain(normalized.slice(from, to));
    }
  }

  /** Appends a text without added tokens, segment by segment. */
  #appendPlain(text: string): void {
    const plain = this.#withBlank(text);
    let next = 0;
    for (let at = 0; at < plain.length; at = next) {
      next = this.#segmentEnd(plain, at);
      this.#appendSegment(plain.slice(at, next), this.#out);
    }
  }

  /** For input that the kernel can't split: regex patterns, and very long runs without a certain word boundary. */
  get #encoder(): ByteLevelEncoder {
    this.#slowEncoder ??= new ByteLevelEncoder(this.#vocabulary, this.#parts.merges, this.#splitter);
    return this.#slowEncoder;
  }

  #withBlank(text: string): string {
    return this.#spec.blankBefore === 'text' && !text.startsWith(' ') ? ` ${text}` : text;
  }

  /**
   * End of the segment that starts at `from`. It depends on only one character after it, so prompts with the same
   * beginning have the same first segments.
   */
  #segmentEnd(text: string, from: number): number {
    if (this.#splitter.kind === 'regexes') return text.length;
    const { scanner } = this.#splitter;
    for (let at = from + segmentChars; at < text.length; at++) {
      if (scanner.alwaysSplits(text.charCodeAt(at - 1), text.charCodeAt(at))) return at;
    }
    return text.length;
  }

  #appendSegment(segment: string, out: TokenBuffer): void {
    if (this.#kernel !== null && segment.length <= TokenKernel.textCharsMax) {
      this.#kernel.append(segment, out);
      return;
    }
    if (segment.length < cachedSegmentCharsMin) {
      this.#encoder.append(segment, out);
      return;
    }
    const known = this.#segments.get(segment);
    if (known !== undefined) {
      out.append(known);
      return;
    }
    const from = out.length;
    this.#encoder.append(segment, out);
    this.#segments.set(segment, out.copyFrom(from));
  }
}

const noBytes = new Uint8Array(0);
