// Stores a byte-level tokenizer in one array of bytes, for the cache on disk and for sharing between threads.
//
// Layout, numbers in this machine's byte order:
//   0   16  mark: file type, version, byte order
//   16  32  SHA-256 of all following bytes
//   48   4  length of the head
//   52   .  head: JSON, then blanks up to a multiple of 4 bytes
//   .    .  the arrays, each aligned to 4 bytes

import { createHash } from 'node:crypto';
import type { ByteLevelSpec } from './byte-level-spec.ts';
import type { ByteLevelTables } from './byte-level-tables.ts';

/** Increase with every change of the layout, the tables or the way they are built. */
const version = 1;

const sumAt = 16;
const sumBytes = 32;
const headLengthAt = sumAt + sumBytes;
const headAt = headLengthAt + 4;

interface Head {
  /** SHA-256 of the source tokenizer.json, in hex. */
  readonly source: string;
  readonly spec: ByteLevelSpec;
  /** Bytes of each array. */
  readonly lengths: readonly number[];
}

export interface TokenizerImage {
  readonly spec: ByteLevelSpec;
  readonly tables: ByteLevelTables;
  /** The image itself. */
  readonly memory: SharedArrayBuffer;
}

/** @param source SHA-256 of the file, in hex */
export function makeImage(source: string, spec: ByteLevelSpec, tables: ByteLevelTables): TokenizerImage {
  const { vocabulary, merges } = tables;
  const arrays = [
    vocabulary.bytes,
    vocabulary.starts,
    vocabulary.slots,
    vocabulary.byteIds,
    merges.pairs,
    merges.tokens,
  ];
  const head: Head = { source, spec, lengths: arrays.map((array) => array.byteLength) };
  const headBytes = Buffer.from(JSON.stringify(head));
  const paddedHead = padded(headBytes.length);
  const length = arrays.reduce((sum, array) => sum + padded(array.byteLength), headAt + paddedHead);
  const memory = new SharedArrayBuffer(length);
  const bytes = Buffer.from(memory);
  mark().copy(bytes);
  new Uint32Array(memory, headLengthAt, 1)[0] = paddedHead;
  bytes.fill(' ', headAt, headAt + paddedHead);
  headBytes.copy(bytes, headAt);
  let at = headAt + paddedHead;
  for (const array of arrays) {
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    at += padded(array.byteLength);
  }
  sumOf(bytes).copy(bytes, sumAt);
  return openImage(memory);
}

/** @returns undefined unless the bytes are an intact image, made by this version from this source */
export function checkImage(memory: SharedArrayBuffer, source: string): TokenizerImage | undefined {
  const bytes = Buffer.from(memory);
  if (bytes.length < headAt || !bytes.subarray(0, sumAt).equals(mark())) return undefined;
  if (!bytes.subarray(sumAt, sumAt + sumBytes).equals(sumOf(bytes))) return undefined;
  return readHead(memory).source === source ? openImage(memory) : undefined;
}

/** @param memory an image from `makeImage` or checked by `checkImage`: not checked again */
export function openImage(memory: SharedArrayBuffer): TokenizerImage {
  const { spec, lengths } = readHead(memory);
  let at = headAt + new Uint32Array(memory, headLengthAt, 1)[0]!;
  const [bytes, starts, slots, byteIds, pairs, tokens] = lengths.map((length) => {
    const array = new Uint8Array(memory, at, length);
    at += padded(length);
    return array;
  });
  return {
    spec,
    tables: {
      vocabulary: { bytes: bytes!, starts: words(starts!), slots: words(slots!), byteIds: words(byteIds!) },
      merges: { pairs: words(pairs!), tokens: words(tokens!) },
    },
    memory,
  };
}

function readHead(memory: SharedArrayBuffer): Head {
  const length = new Uint32Array(memory, headLengthAt, 1)[0]!;
  return JSON.parse(Buffer.from(memory, headAt, length).toString()) as Head;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

function mark(): Buffer {
  const bytes = Buffer.alloc(sumAt, ' ');
  bytes.write('kvoyant bpe');
  new Uint32Array(bytes.buffer, bytes.byteOffset + 12, 1)[0] = version;
  return bytes;
}

function sumOf(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes.subarray(headLengthAt)).digest();
}
