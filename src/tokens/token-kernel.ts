// The WebAssembly kernel of byte-level BPE for texts that a scanner splits: UTF-8 -> words -> ids (kernel/tokens.ts).
//
// Its tables are small copies of those of vocabulary and merges, since larger ones would be evicted from the
// processor's caches between requests. Memory, in this order: classes, vocabulary, merges, words, one text and its ids,
// chunks.

import { assert } from '../core/assert.ts';
import type { CharacterClasses } from './character-classes.ts';
import type { ContractionCase } from './contraction.ts';
import { type Merges, noMerge } from './merges.ts';
import type { TokenBuffer } from './token-buffer.ts';
import { kernelBase64 } from './token-kernel.generated.ts';
import type { Vocabulary } from './vocabulary.ts';
import type { ScannerRules } from './word-scanner.ts';

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  placeClasses(numbers: number, pages: number): void;
  chooseScanner(kind: number, numbersMax: number, contractions: number): void;
  placeVocabulary(
    slots: number,
    slotCount: number,
    starts: number,
    bytes: number,
    bytesMax: number,
    byteIds: number,
  ): void;
  addWord(id: number): void;
  placeMerges(
    byteRanks: number,
    pairs: number,
    pairCount: number,
    products: number,
    scratch: number,
    symbols: number,
  ): void;
  addPair(left: number, right: number, rank: number): void;
  addSplits(id: number): number;
  placeWords(shorts: number, shortSets: number, longs: number, longSlots: number, waiting: number): void;
  waitingWordBytes(): number;
  placeChunks(slots: number, sets: number, ring: number, units: number): void;
  encode(at: number, end: number, out: number): number;
  bytesSplit(): number;
  splitsAt(at: number): number;
}

// biome-ignore lint/style/useNamingConvention: the name is the platform's.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

export interface KernelParts {
  readonly vocabulary: Vocabulary;
  readonly merges: Merges;
  readonly rules: ScannerRules;
  /** Limit on the bytes of cached chunks and their ids; 0: no cache. */
  readonly chunkBytesMax: number;
}

/** Ids, ranks and left or right halves of pairs have 20 bits in the kernel's tables. */
const idsMax = 2 ** 20 - 1;
const pageBytes = 65_536;
/** Maximum UTF-8 bytes per UTF-16 code unit. */
const codeUnitBytesMax = 3;
/** Bytes after the data, since words are read in whole u64 and written in whole slots. */
const slackBytes = 64;
/** Scratch memory of the kernel per byte of a word. */
const symbolBytes = 32;

/**
 * Sets of two slots of 32 bytes: 2 MB. A word that is not there costs a merge or several accesses to larger tables, so
 * this is better than 512 KB, even if nothing of it is in the processor's caches when a text begins.
 */
const shortSets = 32_768;
const longSlots = 16_384;
/** Sets of four slots, 32 bytes each. */
const chunkSets = 8192;

const scannerKinds: Readonly<Record<ScannerRules['kind'], number>> = { cl100k: 0, gpt2: 1, o200k: 2 };
const contractionCases: Readonly<Record<ContractionCase, number>> = { exact: 1, ascii: 2, folded: 3 };

/** Not shareable between threads. Its memory grows to a few MB above `chunkBytesMax`. */
export class TokenKernel {
  /** Longest text of one call, in UTF-16 code units. */
  static readonly textCharsMax = 32_768;

  readonly #kernel: Kernel;
  readonly #utf8 = new TextEncoder();
  readonly #textAt: number;
  readonly #idsAt: number;
  #text: Uint8Array;
  #ids: Uint32Array;

  /** Whether the vocabulary fits the kernel's tables. */
  static takes(vocabulary: Vocabulary, merges: Merges): boolean {
    return vocabulary.size <= idsMax && (merges.pairs?.tokens.length ?? 0) <= idsMax;
  }

  /** Takes tens of milliseconds. @param parts must pass `takes` */
  constructor(parts: KernelParts) {
    this.#kernel = new WebAssembly.Instance(compiledKernel()).exports as Kernel;
    const layout = new Layout(this.#kernel);
    placeScanner(layout, parts.rules);
    placeVocabulary(layout, parts.vocabulary);
    const textBytes = TokenKernel.textCharsMax * codeUnitBytesMax;
    placeMerges(layout, parts.vocabulary, parts.merges, textBytes);
    const [shortsAt, longsAt] = [layout.take(shortSets * 64), layout.take(longSlots * 128)];
    const waitingAt = layout.take(this.#kernel.waitingWordBytes());
    this.#kernel.placeWords(shortsAt, shortSets, longsAt, longSlots, waitingAt);
    this.#textAt = layout.take(textBytes + slackBytes);
    this.#idsAt = layout.take(textBytes * 4 + slackBytes);
    // The ring is last, since the kernel grows the memory as it fills the ring.
    const slots = layout.take(chunkSets * 32);
    this.#kernel.placeChunks(slots, chunkSets, layout.end, Math.floor(parts.chunkBytesMax / 8));
    this.#text = new Uint8Array(0);
    this.#ids = new Uint32Array(0);
    this.#view();
  }

  /** Bytes of text so far that were not in the cache of chunks. */
  get bytesSplit(): number {
    return this.#kernel.bytesSplit();
  }

  get memoryBytes(): number {
    return this.#kernel.memory.buffer.byteLength;
  }

  /** Appends the ids of `text`, at most `textCharsMax` long. Lone surrogates count as U+FFFD. */
  append(text: string, out: TokenBuffer): void {
    const { written } = this.#utf8.encodeInto(text, this.#text);
    const end = this.#kernel.encode(this.#textAt, this.#textAt + written, this.#idsAt);
    // Growing the memory detaches the views.
    if (this.#ids.length === 0) this.#view();
    out.append(this.#ids.subarray(0, (end - this.#idsAt) / 4));
  }

  /** Whether a chunk of `text` may end before the UTF-8 byte at `at`, which is neither the first nor behind the last. */
  splitsAt(text: string, at: number): boolean {
    this.#utf8.encodeInto(text, this.#text);
    return this.#kernel.splitsAt(this.#textAt + at) !== 0;
  }

  #view(): void {
    const { buffer } = this.#kernel.memory;
    const textBytes = TokenKernel.textCharsMax * codeUnitBytesMax;
    this.#text = new Uint8Array(buffer, this.#textAt, textBytes);
    this.#ids = new Uint32Array(buffer, this.#idsAt, textBytes);
  }
}

let compiled: object | undefined;

/** Compiled once: V8 optimizes a module, not its instances. */
function compiledKernel(): object {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(kernelBase64), (character) => character.charCodeAt(0)));
  return compiled;
}

/** Allocates memory from the start, in whole cache lines. */
class Layout {
  readonly kernel: Kernel;
  /** End of the allocated memory. The kernel's own data is below its start. */
  end = 4096;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  take(bytes: number): number {
    const at = this.end;
    this.end = at + Math.ceil(bytes / 64) * 64;
    const missing = this.end + slackBytes - this.kernel.memory.buffer.byteLength;
    if (missing > 0) this.kernel.memory.grow(Math.ceil(missing / pageBytes));
    return at;
  }

  copy(source: Uint8Array | Uint16Array | Uint32Array): number {
    const at = this.take(source.byteLength + slackBytes);
    const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    new Uint8Array(this.kernel.memory.buffer, at, source.byteLength).set(bytes);
    return at;
  }
}

function placeScanner(layout: Layout, { kind, classes, numbersMax, contractions }: ScannerRules): void {
  const { numbers, pages } = pagesOf(classes);
  layout.kernel.placeClasses(layout.copy(numbers), layout.copy(pages));
  const letterCase = contractions === null ? 0 : contractionCases[contractions];
  layout.kernel.chooseScanner(scannerKinds[kind], numbersMax, letterCase);
}

const pageSize = 256;

/** The distinct pages of the table, and the page number of each 256 code points. */
function pagesOf(classes: CharacterClasses): { numbers: Uint16Array; pages: Uint8Array } {
  const numbers = new Uint16Array(classes.length / pageSize);
  const known = new Map<string, number>();
  for (let page = 0; page < numbers.length; page++) {
    const content = Buffer.from(classes.subarray(page * pageSize, (page + 1) * pageSize)).toString('latin1');
    const number = known.get(content) ?? known.size;
    known.set(content, number);
    numbers[page] = number;
  }
  return { numbers, pages: Buffer.from([...known.keys()].join(''), 'latin1') };
}

function placeVocabulary(layout: Layout, vocabulary: Vocabulary): void {
  const { kernel } = layout;
  const { bytes, starts, byteIds } = vocabulary.tables;
  const slotCount = 1 << Math.ceil(Math.log2(vocabulary.size * 2));
  kernel.placeVocabulary(
    layout.take(slotCount * 4),
    slotCount,
    layout.copy(starts),
    layout.copy(bytes),
    vocabulary.tokenBytesMax,
    layout.copy(byteIds),
  );
  for (const id of vocabulary.words()) kernel.addWord(id);
}

/** @param symbols of the longest word */
function placeMerges(layout: Layout, vocabulary: Vocabulary, merges: Merges, symbols: number): void {
  const { kernel } = layout;
  const byteRanks = new Uint32Array(65_536);
  for (let pair = 0; pair < byteRanks.length; pair++) {
    const rank = merges.byteRank(pair >> 8, pair & 0xff);
    byteRanks[pair] = rank === noMerge ? 0xffffffff : rank;
  }
  const byteRanksAt = layout.copy(byteRanks);
  const tables = merges.pairs;
  const count = 1 << Math.ceil(Math.log2(tables === null ? vocabulary.size * 5 : (tables.tokens.length + 1) * 1.6));
  const pairsAt = layout.take(count * 8);
  const productsAt = tables === null ? 0 : layout.copy(tables.tokens);
  kernel.placeMerges(byteRanksAt, pairsAt, count, productsAt, layout.take(symbols * symbolBytes + slackBytes), symbols);
  if (tables === null) {
    addSplits(kernel, vocabulary, count);
    return;
  }
  const { pairs } = tables;
  for (let at = 0; at < pairs.length; at += 3) {
    if (pairs[at] !== 0) kernel.addPair(pairs[at]! - 1, pairs[at + 1]!, pairs[at + 2]!);
  }
}

/** The pairs of tiktoken's form, about 2.3 for each token. @param slots for them */
function addSplits(kernel: Kernel, vocabulary: Vocabulary, slots: number): void {
  let pairs = 0;
  for (let id = 0; id < vocabulary.size; id++) {
    assert(pairs + vocabulary.tokenBytesMax < slots, 'the pairs have room');
    pairs += kernel.addSplits(id);
  }
}
