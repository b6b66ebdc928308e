// The WebAssembly kernel of byte-level BPE for texts that a scanner splits: UTF-8 -> words -> ids (kernel/tokens.ts).
//
// Its tables are small copies of those of vocabulary and merges, since larger ones would be evicted from the
// processor's caches between requests. Memory, in this order: classes, vocabulary, merges, words, one text and its ids,
// chunks.

import { assert } from '../core/assert.ts';
import type { CharacterClasses } from './character-classes.ts';
import type { ContractionCase } from './contraction.ts';
import { type Merges, noMerge, type PairTables } from './merges.ts';
import type { TokenBuffer } from './token-buffer.ts';
import { kernelBase64 } from './token-kernel.generated.ts';
import type { Vocabulary } from './vocabulary.ts';
import type { ScannerRules } from './word-scanner.ts';

interface Kernel {
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
  placeMerges(byteRanks: number, products: number, scratch: number, symbols: number): void;
  placePairs(at: number, slotCount: number): void;
  addPair(left: number, right: number, rank: number): void;
  addSplits(id: number): number;
  keepLastMerges(tokens: number, list: number, at: number, slotCount: number): void;
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
  Instance: new (module: object, imports: { env: { memory: object } }) => { readonly exports: unknown };
  Memory: new (limits: { initial: number }) => { readonly buffer: ArrayBuffer };
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
/** At least what the kernel needs for words that wait for their merges. */
const waitingWordBytes = 16_384;
/** Bytes after the data, since words are read in whole u64 and written in whole slots. */
const slackBytes = 64;
const textCharsMax = 32_768;
const textBytesMax = textCharsMax * codeUnitBytesMax;
const pairSlotsMin = 16;
/** Eight bytes, and four bits of the table that tells most other pairs apart. */
const pairSlotBytes = 8.5;
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

const scannerKinds: Readonly<Record<ScannerRules['kind'], number>> = { cl100k: 0, gpt2: 1, o200k: 2, deepseek: 3 };
const contractionCases: Readonly<Record<ContractionCase, number>> = { exact: 1, ascii: 2, folded: 3 };

/**
 * Not shareable between threads.
 *
 * All its memory is reserved at once, `chunkBytesMax` and some MB; what has not been used takes none. It must not grow:
 * that detaches the old buffer, and with the first buffer that a thread detaches, V8 throws away all optimized code that
 * reads a typed array, and from then on tests at each access whether the array is detached.
 */
export class TokenKernel {
  /** Longest text of one call, in UTF-16 code units. */
  static readonly textCharsMax = textCharsMax;

  readonly #kernel: Kernel;
  readonly #utf8 = new TextEncoder();
  readonly #textAt: number;
  readonly #idsAt: number;
  readonly #memory: { readonly buffer: ArrayBuffer };
  readonly #text: Uint8Array;
  readonly #ids: Uint32Array;

  /** Whether the vocabulary fits the kernel's tables. */
  static takes(vocabulary: Vocabulary, merges: Merges): boolean {
    return vocabulary.size <= idsMax && (merges.pairs?.tokens.length ?? 0) <= idsMax;
  }

  /** Takes tens of milliseconds. @param parts must pass `takes` */
  constructor(parts: KernelParts) {
    const layout = new Layout();
    const placeParts = [
      placeScanner(layout, parts.rules),
      placeVocabulary(layout, parts.vocabulary),
      placeMerges(layout, parts.vocabulary, parts.merges, textBytesMax),
      placeWords(layout),
    ];
    this.#textAt = layout.take(textBytesMax + slackBytes);
    this.#idsAt = layout.take(textBytesMax * 4 + slackBytes);
    const slotsAt = layout.take(chunkSets * 32);
    const ringUnits = Math.floor(parts.chunkBytesMax / 8);
    const ringAt = layout.take(Math.max(ringUnits * 8, allPairsBytes(parts.vocabulary, parts.merges)));
    this.#memory = layout.memory();
    this.#kernel = new WebAssembly.Instance(compiledKernel(), { env: { memory: this.#memory } }).exports as Kernel;
    for (const place of placeParts) place(this.#kernel, ringAt);
    this.#kernel.placeChunks(slotsAt, chunkSets, ringAt, ringUnits);
    this.#text = new Uint8Array(this.#memory.buffer, this.#textAt, textBytesMax);
    this.#ids = new Uint32Array(this.#memory.buffer, this.#idsAt, textBytesMax);
  }

  /** Bytes of text so far that were not in the cache of chunks. */
  get bytesSplit(): number {
    return this.#kernel.bytesSplit();
  }

  /** Reserved, of which a part may not be used yet. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Appends the ids of `text`, at most `textCharsMax` long. Lone surrogates count as U+FFFD. */
  append(text: string, out: TokenBuffer): void {
    const { written } = this.#utf8.encodeInto(text, this.#text);
    const end = this.#kernel.encode(this.#textAt, this.#textAt + written, this.#idsAt);
    out.append(this.#ids.subarray(0, (end - this.#idsAt) / 4));
  }

  /** Whether a chunk of `text` may end before the UTF-8 byte at `at`, which is neither the first nor behind the last. */
  splitsAt(text: string, at: number): boolean {
    this.#utf8.encodeInto(text, this.#text);
    return this.#kernel.splitsAt(this.#textAt + at) !== 0;
  }
}

let compiled: object | undefined;

/** Compiled once: V8 optimizes a module, not its instances. */
function compiledKernel(): object {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(kernelBase64), (character) => character.charCodeAt(0)));
  return compiled;
}

/** Plans the memory from the start, in whole cache lines. */
class Layout {
  /** The kernel's own data is below the first part. */
  #end = 4096;
  readonly #copies: { readonly at: number; readonly bytes: Uint8Array }[] = [];

  /** @returns the address */
  take(bytes: number): number {
    const at = this.#end;
    this.#end = at + Math.ceil(bytes / 64) * 64;
    return at;
  }

  copy(source: Uint8Array | Uint16Array | Uint32Array): number {
    const at = this.take(source.byteLength + slackBytes);
    this.#copies.push({ at, bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength) });
    return at;
  }

  /** With the copies at their places, and zeros elsewhere. */
  memory(): { readonly buffer: ArrayBuffer } {
    const memory = new WebAssembly.Memory({ initial: Math.ceil((this.#end + slackBytes) / pageBytes) });
    const all = new Uint8Array(memory.buffer);
    for (const { at, bytes } of this.#copies) all.set(bytes, at);
    return memory;
  }
}

/** Tells the kernel where a part of its memory lies. Called once that is so. @param spareAt memory that nobody uses yet */
type Placing = (kernel: Kernel, spareAt: number) => void;

function placeScanner(layout: Layout, { kind, classes, numbersMax, contractions }: ScannerRules): Placing {
  const { numbers, pages } = pagesOf(classes);
  const [numbersAt, pagesAt] = [layout.copy(numbers), layout.copy(pages)];
  const letterCase = contractions === null ? 0 : contractionCases[contractions];
  return (kernel) => {
    kernel.placeClasses(numbersAt, pagesAt);
    kernel.chooseScanner(scannerKinds[kind], numbersMax, letterCase);
  };
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

function placeVocabulary(layout: Layout, vocabulary: Vocabulary): Placing {
  const { bytes, starts, byteIds } = vocabulary.tables;
  const slotCount = 1 << Math.ceil(Math.log2(vocabulary.size * 2));
  const slotsAt = layout.take(slotCount * 4);
  const [startsAt, bytesAt, byteIdsAt] = [layout.copy(starts), layout.copy(bytes), layout.copy(byteIds)];
  return (kernel) => {
    kernel.placeVocabulary(slotsAt, slotCount, startsAt, bytesAt, vocabulary.tokenBytesMax, byteIdsAt);
    for (const id of vocabulary.words()) kernel.addWord(id);
  };
}

/** @param symbols of the longest word */
function placeMerges(layout: Layout, vocabulary: Vocabulary, merges: Merges, symbols: number): Placing {
  const byteRanks = new Uint32Array(65_536);
  for (let pair = 0; pair < byteRanks.length; pair++) {
    const rank = merges.byteRank(pair >> 8, pair & 0xff);
    byteRanks[pair] = rank === noMerge ? 0xffffffff : rank;
  }
  const byteRanksAt = layout.copy(byteRanks);
  const productsAt = merges.pairs === null ? 0 : layout.copy(merges.pairs.tokens);
  const scratchAt = layout.take(symbols * symbolBytes + slackBytes);
  const slots = pairSlotsFor(vocabulary.size * 1.25);
  const pairsAt = layout.take(slots * pairSlotBytes);
  const allSlots = allPairSlots(vocabulary, merges);
  return (kernel, spareAt) => {
    kernel.placeMerges(byteRanksAt, productsAt, scratchAt, symbols);
    kernel.placePairs(spareAt, allSlots);
    if (merges.pairs === null) addSplits(kernel, vocabulary, allSlots);
    else addPairs(kernel, merges.pairs);
    kernel.keepLastMerges(vocabulary.size, spareAt + allSlots * pairSlotBytes, pairsAt, slots);
  };
}

function pairSlotsFor(pairs: number): number {
  return 1 << Math.ceil(Math.log2(Math.max(pairs, pairSlotsMin)));
}

/** Slots for all pairs that are listed, or that tiktoken's form implies. */
function allPairSlots(vocabulary: Vocabulary, { pairs }: Merges): number {
  return pairSlotsFor(pairs === null ? vocabulary.size * 5 : (pairs.tokens.length + 1) * 1.6);
}

/** Memory to find the pairs that really merge: a table of all pairs, and the list of those. */
function allPairsBytes(vocabulary: Vocabulary, merges: Merges): number {
  const listBytes = vocabulary.size * 8 + vocabulary.tokenBytesMax * 4;
  return allPairSlots(vocabulary, merges) * pairSlotBytes + listBytes + slackBytes;
}

function placeWords(layout: Layout): Placing {
  const [shortsAt, longsAt] = [layout.take(shortSets * 64), layout.take(longSlots * 128)];
  const waitingAt = layout.take(waitingWordBytes);
  return (kernel) => {
    assert(kernel.waitingWordBytes() <= waitingWordBytes, 'the waiting words have room');
    kernel.placeWords(shortsAt, shortSets, longsAt, longSlots, waitingAt);
  };
}

function addPairs(kernel: Kernel, { pairs }: PairTables): void {
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
