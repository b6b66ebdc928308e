// Writes a batch of KV events as engines do: vLLM's maps since 0.24, its arrays before, SGLang's arrays and maps.

import type { BlocksRemoved, BlocksStored, KvEvent } from '../core/types.ts';
import { listExtraKeys } from './kv-events-extra-keys.ts';
import { MessagePackWriter } from './kv-events-writer.ts';

/**
 * `map`: vLLM since 0.24. `arrayN`: vLLM before, with N fields after the tag of a store; fields that a generation lacks
 * are omitted (the adapter's name before array7, salt and media before array11). `sglang-array`, `sglang-map`: one
 * store per page, signed hashes, no adapter; the salt only in maps.
 */
export const kvEventsFormats = ['map', 'array5', 'array6', 'array7', 'array11', 'sglang-array', 'sglang-map'] as const;
export type KvEventsFormat = (typeof kvEventsFormats)[number];

export const hashForms = ['int', 'bytes'] as const;
/** Form of vLLM's hashes: 64-bit integers, or 32-byte digests that end in those 8 bytes. */
export type HashForm = (typeof hashForms)[number];

type WriteHash = (writer: MessagePackWriter, hashes: Uint32Array, at: number) => void;

const unsignedHash: WriteHash = (writer, hashes, at) => writer.uint64(hashes[at]!, hashes[at + 1]!);
const signedHash: WriteHash = (writer, hashes, at) => writer.int64(hashes[at]!, hashes[at + 1]!);
const digestHash: WriteHash = (writer, hashes, at) => writer.bytes(digestOf(hashes[at]!, hashes[at + 1]!));

type ArrayFormat = Exclude<KvEventsFormat, 'map' | 'sglang-map'>;

/** Number of fields after the tag, of a store and of a removal. */
const arrayFields: Readonly<Record<ArrayFormat, readonly [stored: number, removed: number]>> = {
  array5: [5, 1],
  array6: [6, 2],
  array7: [7, 2],
  array11: [11, 3],
  'sglang-array': [6, 2],
};

/**
 * @param timestampS seconds since the epoch
 * @param rank data-parallel rank of the publisher; null to omit it, as SGLang does without data parallelism
 */
export function encodeKvBatch(
  timestampS: number,
  rank: number | null,
  events: readonly KvEvent[],
  format: KvEventsFormat = 'map',
  hashForm: HashForm = 'int',
): Buffer {
  const writer = new MessagePackWriter();
  const isSglang = format === 'sglang-array' || format === 'sglang-map';
  const told = isSglang ? events.flatMap(pagesOf) : events;
  const writeHash = isSglang ? signedHash : hashForm === 'bytes' ? digestHash : unsignedHash;
  writer.array(3);
  writer.float64(timestampS);
  writer.array(told.length);
  for (const event of told) {
    if (format === 'map' || format === 'sglang-map') writeMap(writer, event, writeHash, isSglang);
    else writeArray(writer, event, format, writeHash);
  }
  writer.value(rank);
  return writer.finish();
}

function writeMap(writer: MessagePackWriter, event: KvEvent, writeHash: WriteHash, isSglang: boolean): void {
  switch (event.kind) {
    case 'stored': {
      const salt = isSglang ? event.salt : null;
      writer.map(!isSglang ? 11 : salt === null ? 7 : 8);
      writeStored(writer, event, writeHash);
      if (!isSglang) writeVllmFields(writer, event);
      else if (salt !== null) {
        writer.text('cache_salt');
        writer.text(salt);
      }
      return;
    }
    case 'removed':
      writer.map(isSglang ? 3 : 4);
      writeRemoved(writer, event, writeHash);
      if (isSglang) return;
      writer.text('group_idx');
      writer.uint(0);
      return;
    case 'cleared':
      writer.map(1);
      writer.text('type');
      writer.text('AllBlocksCleared');
      return;
  }
}

/** The seven fields that all engines send. */
function writeStored(writer: MessagePackWriter, event: BlocksStored, writeHash: WriteHash): void {
  writer.text('type');
  writer.text('BlockStored');
  writer.text('block_hashes');
  writeHashes(writer, event.hashes, writeHash);
  writer.text('parent_block_hash');
  if (event.parent === null) writer.nil();
  else writeHash(writer, event.parent, 0);
  writer.text('token_ids');
  writeTokens(writer, event.tokens);
  writer.text('block_size');
  writer.uint(event.blockSize);
  writer.text('lora_id');
  writer.nil();
  writer.text('medium');
  writer.text('GPU');
}

function writeVllmFields(writer: MessagePackWriter, event: BlocksStored): void {
  const blockCount = event.hashes.length / 2;
  const isRoot = event.parent === null;
  writer.text('lora_name');
  writer.value(event.lora);
  writer.text('extra_keys');
  writer.array(blockCount);
  for (let block = 0; block < blockCount; block++) writer.value(listExtraKeys(event, block, isRoot));
  writer.text('group_idx');
  writer.uint(0);
  writer.text('kv_cache_spec_kind');
  writer.text('full_attention');
}

function writeRemoved(writer: MessagePackWriter, event: BlocksRemoved, writeHash: WriteHash): void {
  writer.text('type');
  writer.text('BlockRemoved');
  writer.text('block_hashes');
  writeHashes(writer, event.hashes, writeHash);
  writer.text('medium');
  writer.text('GPU');
}

function writeHashes(writer: MessagePackWriter, hashes: Uint32Array, writeHash: WriteHash): void {
  writer.array(hashes.length / 2);
  for (let at = 0; at < hashes.length; at += 2) writeHash(writer, hashes, at);
}

function writeArray(writer: MessagePackWriter, event: KvEvent, format: ArrayFormat, writeHash: WriteHash): void {
  const [storedFields, removedFields] = arrayFields[format];
  switch (event.kind) {
    case 'stored': {
      const isRoot = event.parent === null;
      const blocks = event.hashes.length / 2;
      const fields: (() => void)[] = [
        () => writeHashes(writer, event.hashes, writeHash),
        () => (event.parent === null ? writer.nil() : writeHash(writer, event.parent, 0)),
        () => writeTokens(writer, event.tokens),
        () => writer.uint(event.blockSize),
        () => writer.nil(),
        () => writer.text('GPU'),
        () => writer.value(event.lora),
        () => writer.value(Array.from({ length: blocks }, (_, block) => listExtraKeys(event, block, isRoot))),
        () => writer.uint(0),
        () => writer.text('full_attention'),
        () => writer.nil(),
      ];
      writer.array(1 + storedFields);
      writer.text('BlockStored');
      for (const write of fields.slice(0, storedFields)) write();
      return;
    }
    case 'removed': {
      const fields = [
        () => writeHashes(writer, event.hashes, writeHash),
        () => writer.text('GPU'),
        () => writer.uint(0),
      ];
      writer.array(1 + removedFields);
      writer.text('BlockRemoved');
      for (const write of fields.slice(0, removedFields)) write();
      return;
    }
    case 'cleared':
      writer.array(1);
      writer.text('AllBlocksCleared');
      return;
  }
}

/** Splits a store of several blocks into a chain of single-block stores. */
function pagesOf(event: KvEvent): KvEvent[] {
  if (event.kind !== 'stored') return [event];
  const { hashes, tokens, blockSize } = event;
  return Array.from({ length: hashes.length / 2 }, (_, page) => ({
    ...event,
    hashes: hashes.subarray(2 * page, 2 * page + 2),
    parent: page === 0 ? event.parent : hashes.subarray(2 * page - 2, 2 * page),
    tokens: tokens.subarray(page * blockSize, (page + 1) * blockSize),
    extras: event.extras === null ? null : event.extras.slice(page, page + 1),
  }));
}

function writeTokens(writer: MessagePackWriter, tokens: Uint32Array): void {
  writer.array(tokens.length);
  for (let i = 0; i < tokens.length; i++) writer.uint(tokens[i]!);
}

/** Readers use only the last 8 bytes of a digest; the others are derived from them. */
function digestOf(low: number, high: number): Uint8Array {
  const digest = Buffer.allocUnsafe(32);
  for (let at = 0; at < 24; at += 8) {
    digest.writeUInt32BE(Math.imul(high ^ at, 0x9e3779b1) >>> 0, at);
    digest.writeUInt32BE(Math.imul(low ^ at, 0x85ebca77) >>> 0, at + 4);
  }
  digest.writeUInt32BE(high, 24);
  digest.writeUInt32BE(low, 28);
  return digest;
}
