// Reads vLLM's KV events (maps and arrays) from MessagePack, without any code of the gateway.

import { Unpackr } from 'msgpackr';

export type WireEvent =
  | {
      readonly kind: 'stored';
      readonly hashes: readonly string[];
      readonly parent: string | null;
      readonly tokens: readonly number[];
      readonly blockSize: number;
    }
  | { readonly kind: 'removed'; readonly hashes: readonly string[] }
  | { readonly kind: 'cleared' };

// Hashes have 64 bits: as numbers they would lose the lowest.
const unpackr = new Unpackr({ int64AsType: 'bigint', useRecords: false, mapsAsObjects: true });

/** Positions of the fields in the array form, after the event's name. */
const fields = {
  BlockStored: ['block_hashes', 'parent_block_hash', 'token_ids', 'block_size'],
  BlockRemoved: ['block_hashes'],
  AllBlocksCleared: [],
} as const;

/** @throws Error if it is not a batch of the known events */
export function readBatch(payload: Uint8Array): WireEvent[] {
  const [, events] = unpackr.unpack(payload) as [number, unknown[]];
  return events.map(readEvent);
}

function readEvent(event: unknown): WireEvent {
  const { type, ...named } = Array.isArray(event) ? nameFields(event) : (event as Record<string, unknown>);
  switch (type) {
    case 'BlockStored':
      return {
        kind: 'stored',
        hashes: (named['block_hashes'] as unknown[]).map(String),
        parent: named['parent_block_hash'] === null ? null : String(named['parent_block_hash']),
        tokens: named['token_ids'] as number[],
        blockSize: named['block_size'] as number,
      };
    case 'BlockRemoved':
      return { kind: 'removed', hashes: (named['block_hashes'] as unknown[]).map(String) };
    case 'AllBlocksCleared':
      return { kind: 'cleared' };
    default:
      throw new Error(`an event of the unknown type ${String(type)}`);
  }
}

function nameFields([type, ...values]: readonly unknown[]): Record<string, unknown> {
  const names = fields[type as keyof typeof fields] ?? [];
  return { type, ...Object.fromEntries(names.map((name, i) => [name, values[i]])) };
}
