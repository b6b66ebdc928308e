// KV events by a general MessagePack decoder, and a walk by recursion: twins of kv-events-decode and kv-events-guard in
// src/wire.

import { Unpackr } from 'msgpackr';
import type { BlocksRemoved, BlocksStored, KvEvent } from '../../src/core/types.ts';
import { blockSizeMax, type SkipReason } from '../../src/wire/kv-events-decode.ts';
import { readExtraKeys } from '../../src/wire/kv-events-extra-keys.ts';
import { containersMax, type GuardReason, nestingMax } from '../../src/wire/kv-events-guard.ts';

/** An event in map form: any key may be absent or have any type. */
interface EventMap {
  readonly type?: unknown;
  readonly block_hashes?: unknown;
  readonly parent_block_hash?: unknown;
  readonly token_ids?: unknown;
  readonly block_size?: unknown;
  readonly lora_id?: unknown;
  readonly lora_name?: unknown;
  readonly medium?: unknown;
  readonly locality?: unknown;
  readonly extra_keys?: unknown;
  readonly cache_salt?: unknown;
  readonly group_idx?: unknown;
  readonly kv_cache_spec_kind?: unknown;
}

/** The fields of an event in either form; undefined if absent. */
interface RawEvent {
  readonly tag: unknown;
  readonly hashes: unknown;
  readonly parent: unknown;
  readonly tokens: unknown;
  readonly blockSize: unknown;
  readonly loraId: unknown;
  readonly loraName: unknown;
  readonly medium: unknown;
  readonly locality: unknown;
  readonly extraKeys: unknown;
  readonly salt: unknown;
  readonly group: unknown;
  readonly attentionKind: unknown;
}

// Block hashes are 64-bit integers: doubles would silently lose bits.
const unpackr = new Unpackr({ int64AsType: 'bigint', useRecords: false, mapsAsObjects: true });

const deviceMedia: ReadonlySet<unknown> = new Set(['GPU', 'DEVICE', null, undefined]);
const localLocalities: ReadonlySet<unknown> = new Set(['LOCAL', null, undefined]);
const wholePrefixKinds: ReadonlySet<unknown> = new Set([
  'full_attention',
  'mla_attention',
  'sink_full_attention',
  null,
  undefined,
]);

/** Reads one event that is alone in its bytes. */
export function naiveKvEvent(bytes: Uint8Array): KvEvent | SkipReason {
  return decodeEvent(unpackr.unpack(bytes));
}

/** Checks a payload by recursion. */
export function naiveWalk(bytes: Uint8Array): 'done' | GuardReason {
  let at = 0;
  let containers = 0;
  const number = (width: number): number => {
    if (at + width > bytes.length) throw new Fault('truncated');
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + bytes[at++]!;
    return value;
  };
  const skip = (count: number): void => {
    at += count;
    if (at > bytes.length) throw new Fault('truncated');
  };
  const items = (count: number, depth: number): void => {
    if (count > bytes.length - at) throw new Fault('truncated');
    if (++containers > containersMax) throw new Fault('too-many-containers');
    if (depth >= nestingMax) throw new Fault('too-deep');
    for (let i = 0; i < count; i++) item(depth + 1);
  };
  const item = (depth: number): void => {
    const head = number(1);
    if (head < 0x80 || head >= 0xe0 || (head >= 0xc0 && head <= 0xc3)) return;
    if (head < 0x90) items(2 * (head & 15), depth);
    else if (head < 0xa0) items(head & 15, depth);
    else if (head < 0xc0) skip(head & 31);
    else if (head <= 0xc6) skip(number(2 ** (head - 0xc4)));
    else if (head <= 0xc9 || (head >= 0xd4 && head <= 0xd8)) throw new Fault('extension');
    else if (head <= 0xcb) skip(head === 0xca ? 4 : 8);
    else if (head <= 0xd3) skip(2 ** ((head - 0xcc) % 4));
    else if (head <= 0xdb) skip(number(2 ** (head - 0xd9)));
    else if (head <= 0xdd) items(number(head === 0xdc ? 2 : 4), depth);
    else items(2 * number(head === 0xde ? 2 : 4), depth);
  };
  try {
    item(0);
  } catch (error) {
    if (error instanceof Fault) return error.reason;
    throw error;
  }
  return at === bytes.length ? 'done' : 'trailing-bytes';
}

class Fault extends Error {
  readonly reason: GuardReason;

  constructor(reason: GuardReason) {
    super(reason);
    this.reason = reason;
  }
}

function decodeEvent(value: unknown): KvEvent | SkipReason {
  if (typeof value !== 'object' || value === null) return 'malformed';
  const raw = Array.isArray(value) ? fromArray(value) : fromMap(value);
  switch (raw.tag) {
    case 'BlockStored':
      return excluded(raw) ?? decodeStored(raw);
    case 'BlockRemoved':
      return excluded(raw) ?? decodeRemoved(raw);
    case 'AllBlocksCleared':
      return { kind: 'cleared' };
    default:
      return typeof raw.tag === 'string' ? 'unknown-type' : 'malformed';
  }
}

function excluded(raw: RawEvent): SkipReason | null {
  if (!deviceMedia.has(raw.medium)) return 'medium';
  if (!localLocalities.has(raw.locality)) return 'locality';
  if (!wholePrefixKinds.has(raw.attentionKind)) return 'attention-kind';
  return null;
}

function decodeStored(raw: RawEvent): BlocksStored | SkipReason {
  const blockSize = readInteger(raw.blockSize, blockSizeMax);
  if (!Array.isArray(raw.tokens) || blockSize === null) return 'malformed';
  if (blockSize === 0 || raw.tokens.length === 0) return 'placeholder';
  const group = groupOf(raw);
  const hashes = hashWords(raw.hashes, group);
  // llm-d-inference-sim sends the parent 0 instead of nil for a root block.
  const isRoot = raw.parent === null || raw.parent === undefined || readInteger(raw.parent, 0) === 0;
  const parent = isRoot ? null : hashWords([raw.parent], group);
  const tokens = tokenWords(raw.tokens);
  if (hashes === null || tokens === null || (!isRoot && parent === null)) return 'malformed';
  const salt = isRoot && typeof raw.salt === 'string' ? raw.salt : null;
  const keys = readExtraKeys(withPlainBytes(raw.extraKeys), hashes.length / 2, isRoot, loraOf(raw), salt);
  return { kind: 'stored', hashes, parent, tokens, blockSize, ...keys };
}

/** Buffers would reach JSON in a form of their own. */
function withPlainBytes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withPlainBytes);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withPlainBytes(inner)]));
}

function decodeRemoved(raw: RawEvent): BlocksRemoved | SkipReason {
  const hashes = hashWords(raw.hashes, groupOf(raw));
  return hashes === null ? 'malformed' : { kind: 'removed', hashes };
}

/** Positions as in vLLM up to 0.23; other senders may have one more list before the tail. */
function fromArray(fields: readonly unknown[]): RawEvent {
  const isStored = fields[0] === 'BlockStored';
  const tail = readTail(fields, isStored ? 9 : 3);
  // SGLang's arrays have {cache_salt} where vLLM has the adapter's name.
  const seventh = isStored ? fields[7] : undefined;
  const isSaltField = typeof seventh === 'object' && seventh !== null;
  return {
    tag: fields[0],
    hashes: fields[1],
    parent: fields[2],
    tokens: fields[3],
    blockSize: fields[4],
    loraId: fields[5],
    medium: isStored ? fields[6] : fields[2],
    loraName: isSaltField ? undefined : seventh,
    salt: isSaltField ? (seventh as EventMap).cache_salt : undefined,
    extraKeys: fields[8],
    locality: undefined,
    ...tail,
  };
}

/**
 * Told apart by type and order: the text is the attention kind, a number before it the group, one after it the window.
 */
function readTail(fields: readonly unknown[], start: number): Pick<RawEvent, 'group' | 'attentionKind'> {
  let group: unknown;
  for (let i = start; i < fields.length; i++) {
    const field = fields[i];
    if (typeof field === 'string') return { group, attentionKind: field };
    if (isNumeric(field)) group ??= field;
  }
  return { group, attentionKind: undefined };
}

function fromMap(map: EventMap): RawEvent {
  return {
    tag: map.type,
    hashes: map.block_hashes,
    parent: map.parent_block_hash,
    tokens: map.token_ids,
    blockSize: map.block_size,
    loraId: map.lora_id,
    loraName: map.lora_name,
    medium: map.medium,
    locality: map.locality,
    extraKeys: map.extra_keys,
    salt: map.cache_salt,
    group: map.group_idx,
    attentionKind: map.kv_cache_spec_kind,
  };
}

function loraOf(raw: RawEvent): string | null {
  if (typeof raw.loraName === 'string') return raw.loraName;
  return isNumeric(raw.loraId) ? String(raw.loraId) : null;
}

function groupOf(raw: RawEvent): number {
  return readInteger(raw.group, 0xffffffff) ?? 0;
}

/**
 * Two words (low, high) per hash, or null if one is not a hash. Groups of a hybrid model give the same tokens the same
 * hash, so a group other than 0 is mixed in to keep their handles apart. The factors are odd, so only group 0 maps to
 * 0.
 */
function hashWords(hashes: unknown, group: number): Uint32Array | null {
  if (!Array.isArray(hashes)) return null;
  const groupLow = Math.imul(group, 0x9e3779b1);
  const groupHigh = Math.imul(group, 0x85ebca77);
  const words = new Uint32Array(hashes.length * 2);
  let at = 0;
  for (const hash of hashes as unknown[]) {
    if (typeof hash === 'bigint') {
      const bits = BigInt.asUintN(64, hash);
      words[at] = Number(bits & 0xffffffffn);
      words[at + 1] = Number(bits >> 32n);
    } else if (typeof hash === 'number' && Number.isInteger(hash)) {
      // Shorter wire forms only: 32 bits, signed or unsigned.
      words[at] = hash;
      words[at + 1] = hash < 0 ? 0xffffffff : 0;
    } else if (hash instanceof Uint8Array && hash.length >= 8) {
      const view = new DataView(hash.buffer, hash.byteOffset + hash.length - 8, 8);
      words[at] = view.getUint32(4);
      words[at + 1] = view.getUint32(0);
    } else {
      return null;
    }
    words[at] = words[at]! ^ groupLow;
    words[at + 1] = words[at + 1]! ^ groupHigh;
    at += 2;
  }
  return words;
}

function tokenWords(tokens: readonly unknown[]): Uint32Array | null {
  const words = new Uint32Array(tokens.length);
  for (let i = 0; i < words.length; i++) {
    const id = readInteger(tokens[i], 0xffffffff);
    if (id === null) return null;
    words[i] = id;
  }
  return words;
}

/** An integer in 0 .. max of any wire width, or null. */
function readInteger(value: unknown, max: number): number | null {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= max ? number : null;
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}
