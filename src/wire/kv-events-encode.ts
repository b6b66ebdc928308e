// Writes a batch of KV events as vLLM does since 0.24: maps in declaration order, integers as short as they go.

import type { BlocksRemoved, BlocksStored, KvEvent } from '../core/types.ts';
import { listExtraKeys } from './kv-events-extra-keys.ts';
import { MessagePackWriter } from './kv-events-writer.ts';

/** @param timestampS seconds since the epoch. @param rank data-parallel rank of the publisher. */
export function encodeKvBatch(timestampS: number, rank: number, events: readonly KvEvent[]): Buffer {
  const writer = new MessagePackWriter();
  writer.array(3);
  writer.float64(timestampS);
  writer.array(events.length);
  for (const event of events) writeEvent(writer, event);
  writer.uint(rank);
  return writer.finish();
}

function writeEvent(writer: MessagePackWriter, event: KvEvent): void {
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
  writeHashes(writer, event.hashes);
  writer.text('parent_block_hash');
  if (event.parent === null) writer.nil();
  else writer.uint64(event.parent[0]!, event.parent[1]!);
  writer.text('token_ids');
  writer.array(event.tokens.length);
  for (let i = 0; i < event.tokens.length; i++) writer.uint(event.tokens[i]!);
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
  writeHashes(writer, event.hashes);
  writer.text('medium');
  writer.text('GPU');
  writer.text('group_idx');
  writer.uint(0);
}

function writeHashes(writer: MessagePackWriter, hashes: Uint32Array): void {
  writer.array(hashes.length / 2);
  for (let i = 0; i < hashes.length; i += 2) writer.uint64(hashes[i]!, hashes[i + 1]!);
}
