// Writes a batch of KV events as engines do: vLLM's maps since 0.24, its arrays before, SGLang's arrays.

import type { BlocksRemoved, BlocksStored, KvEvent } from '../core/types.ts';
import { listExtraKeys } from './kv-events-extra-keys.ts';
import { MessagePackWriter } from './kv-events-writer.ts';

/**
 * `map`: vLLM since 0.24. `arrayN`: vLLM before, N fields behind the tag of a store; fields that a generation lacks are
 * not told (an adapter's name before array7, salt and media before array11). `sglang-array`: one store a page.
 */
export const kvEventsFormats = ['map', 'array5', 'array6', 'array7', 'array11', 'sglang-array'] as const;
export type KvEventsFormat = (typeof kvEventsFormats)[number];

/** Fields behind the tag: of a store, of a removal. */
const arrayFields: Readonly<Record<Exclude<KvEventsFormat, 'map'>, readonly [stored: number, removed: number]>> = {
  array5: [5, 1],
  array6: [6, 2],
  array7: [7, 2],
  array11: [11, 3],
  'sglang-array': [6, 2],
};

/** @param timestampS seconds since the epoch. @param rank data-parallel rank of the publisher. */
export function encodeKvBatch(
  timestampS: number,
  rank: number,
  events: readonly KvEvent[],
  format: KvEventsFormat = 'map',
): Buffer {
  const writer = new MessagePackWriter();
  const told = format === 'sglang-array' ? events.flatMap(pagesOf) : events;
  writer.array(3);
  writer.float64(timestampS);
  writer.array(told.length);
  for (const event of told) {
    if (format === 'map') writeMap(writer, event);
    else writeArray(writer, event, format);
  }
  writer.uint(rank);
  return writer.finish();
}

function writeMap(writer: MessagePackWriter, event: KvEvent): void {
  switch (event.kind) {
    case 'stored':
      writeStored(writer, event);
      return;
    case 'removed':
      writeRemoved(writer, event);
      return;
    case 'cleared':
      writer.map(1);
      writer.text('type');
      writer.text('AllBlocksCleared');
      return;
  }
}

function writeStored(writer: MessagePackWriter, event: BlocksStored): void {
  const blockCount = event.hashes.length / 2;
  const isRoot = event.parent === null;
  writer.map(11);
  writer.text('type');
  writer.text('BlockStored');
  writer.text('block_hashes');
  writeHashes(writer, event.hashes, false);
  writer.text('parent_block_hash');
  if (event.parent === null) writer.nil();
  else writeHash(writer, event.parent, 0, false);
  writer.text('token_ids');
  writeTokens(writer, event.tokens);
  writer.text('block_size');
  writer.uint(event.blockSize);
  writer.text('lora_id');
  writer.nil();
  writer.text('medium');
  writer.text('GPU');
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

function writeRemoved(writer: MessagePackWriter, event: BlocksRemoved): void {
  writer.map(4);
  writer.text('type');
  writer.text('BlockRemoved');
  writer.text('block_hashes');
  writeHashes(writer, event.hashes, false);
  writer.text('medium');
  writer.text('GPU');
  writer.text('group_idx');
  writer.uint(0);
}

function writeHashes(writer: MessagePackWriter, hashes: Uint32Array, signed: boolean): void {
  writer.array(hashes.length / 2);
  for (let at = 0; at < hashes.length; at += 2) writeHash(writer, hashes, at, signed);
}

function writeArray(writer: MessagePackWriter, event: KvEvent, format: Exclude<KvEventsFormat, 'map'>): void {
  const [storedFields, removedFields] = arrayFields[format];
  const signed = format === 'sglang-array';
  switch (event.kind) {
    case 'stored': {
      const isRoot = event.parent === null;
      const blocks = event.hashes.length / 2;
      const fields: (() => void)[] = [
        () => writeHashes(writer, event.hashes, signed),
        () => (event.parent === null ? writer.nil() : writeHash(writer, event.parent, 0, signed)),
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
      const fields = [() => writeHashes(writer, event.hashes, signed), () => writer.text('GPU'), () => writer.uint(0)];
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

/** A store of several blocks as a chain of stores of one each. */
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

function writeHash(writer: MessagePackWriter, hashes: Uint32Array, at: number, signed: boolean): void {
  if (signed) writer.int64(hashes[at]!, hashes[at + 1]!);
  else writer.uint64(hashes[at]!, hashes[at + 1]!);
}
