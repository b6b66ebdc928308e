// Builds the tables of a byte-level vocabulary and its merges from a Hugging Face tokenizer.json.

import { bytesOfToken } from './byte-level-alphabet.ts';
import { type AddedTokenSpec, type ByteLevelSpec, OtherTokenizer } from './byte-level-spec.ts';
import { ByteMerger } from './merge-bytes.ts';
import { PairMerges, type PairTables, pairTables } from './merges.ts';
import { Vocabulary, type VocabularyTables, vocabularySlots } from './vocabulary.ts';

/** With larger ids the id list, which has holes, would take too much memory. */
const idMax = 4_000_000;

export interface ByteLevelTables {
  readonly vocabulary: VocabularyTables;
  readonly merges: PairTables;
}

/** The part of the file that is read here. */
interface ModelFile {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (string | readonly string[])[];
  };
}

/** @param file from which `spec` was read @throws OtherTokenizer */
export function makeByteLevelTables(file: unknown, spec: ByteLevelSpec): ByteLevelTables {
  const { vocab, merges } = (file as ModelFile).model;
  if (typeof vocab !== 'object' || vocab === null || !Array.isArray(merges)) {
    throw new OtherTokenizer('model has no vocab or no merges');
  }
  requireAddedIds(spec.addedTokens, vocab);
  const { bytes, starts, written } = tokenBytes(vocab);
  const byteIds = singleByteIds(bytes, starts, written);
  const pairs = readMerges(merges, vocab);
  const words = spec.wordsFirst ? written : mergedWords({ bytes, starts, byteIds }, pairs, written);
  return { vocabulary: { bytes, starts, slots: vocabularySlots(bytes, starts, words), byteIds }, merges: pairs };
}

/**
 * The Rust package numbers added tokens itself: as in the vocabulary, else one above the highest so far. Files normally
 * give the same ids; otherwise their meaning is unclear.
 */
function requireAddedIds(addedTokens: readonly AddedTokenSpec[], vocab: Readonly<Record<string, number>>): void {
  const vocabularySize = Object.keys(vocab).length;
  let highest = -1;
  for (const { text, id } of addedTokens) {
    const expected = Object.hasOwn(vocab, text) ? vocab[text] : Math.max(highest + 1, vocabularySize);
    if (id !== expected) throw new OtherTokenizer(`added token ${text} has id ${id}, not ${expected}`);
    highest = Math.max(highest, id);
  }
}

interface TokenBytes {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
}

/** `written`: ids of the tokens in the byte alphabet; only these can occur in a text. */
function tokenBytes(vocab: Readonly<Record<string, number>>): TokenBytes & { written: number[] } {
  const byId: (Uint8Array | undefined)[] = [];
  const written: number[] = [];
  for (const [token, id] of Object.entries(vocab)) {
    if (!Number.isInteger(id) || id < 0 || id > idMax || byId[id] !== undefined) {
      throw new OtherTokenizer(`model.vocab has a bad id or has it twice: ${id}`);
    }
    const known = token === '' ? undefined : bytesOfToken(token);
    byId[id] = known ?? Buffer.from(token);
    if (known !== undefined) written.push(id);
  }
  const starts = new Uint32Array(byId.length + 1);
  for (let id = 0; id < byId.length; id++) starts[id + 1] = starts[id]! + (byId[id]?.length ?? 0);
  const bytes = new Uint8Array(starts[byId.length]!);
  for (let id = 0; id < byId.length; id++) if (byId[id] !== undefined) bytes.set(byId[id]!, starts[id]);
  return { bytes, starts, written };
}

function singleByteIds(bytes: Uint8Array, starts: Uint32Array, written: readonly number[]): Uint32Array {
  const byteIds = new Uint32Array(256);
  let found = 0;
  for (const id of written) {
    if (starts[id + 1]! - starts[id]! !== 1) continue;
    byteIds[bytes[starts[id]!]!] = id;
    found++;
  }
  if (found !== 256) throw new OtherTokenizer(`model.vocab has ${found} of the 256 bytes`);
  return byteIds;
}

function readMerges(merges: ModelFile['model']['merges'], vocab: Readonly<Record<string, number>>): PairTables {
  const lefts = new Uint32Array(merges.length);
  const rights = new Uint32Array(merges.length);
  const tokens = new Uint32Array(merges.length);
  for (let rank = 0; rank < merges.length; rank++) {
    const merge = merges[rank]!;
    const [left, right, ...more] = typeof merge === 'string' ? merge.split(' ') : merge;
    const ids = [vocab[left!], vocab[right!], vocab[`${left}${right}`]];
    if (more.length > 0 || ids.includes(undefined))
      throw new OtherTokenizer(`model.merges[${rank}] is not a pair of tokens`);
    lefts[rank] = ids[0]!;
    rights[rank] = ids[1]!;
    tokens[rank] = ids[2]!;
  }
  return pairTables(lefts, rights, tokens);
}

/** Ids of the tokens that their own bytes merge into: only these can be looked up as whole words. */
function mergedWords(
  tables: TokenBytes & { readonly byteIds: Uint32Array },
  pairs: PairTables,
  written: readonly number[],
): number[] {
  const vocabulary = new Vocabulary({ ...tables, slots: new Uint32Array(2) });
  const merger = new ByteMerger(vocabulary, new PairMerges(pairs, vocabulary));
  const out = new Uint32Array(vocabulary.tokenBytesMax);
  return written.filter((id) => {
    const bytes = vocabulary.tokenBytes(id);
    return merger.merge(bytes, 0, bytes.length, out, 0) === 1 && out[0] === id;
  });
}
