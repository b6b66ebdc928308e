// Reads one KV event from MessagePack, in every form that vLLM, SGLang and others send.
//
// Lists go straight from the bytes into reused words: an engine that stores a prompt announces one number a token.

import type { KvEvent } from '../core/types.ts';
import { KnownText } from './known-text.ts';
import { readExtraKeys } from './kv-events-extra-keys.ts';
import { readHash, WordList } from './kv-events-words.ts';
import {
  headBytes,
  integerAt,
  isArray,
  isBinary,
  isMap,
  isNumber,
  isText,
  lengthAt,
  skipValue,
  valueAt,
  valuesAt,
} from './message-pack.ts';

/** Limit on tokens per block; a larger size is a fault of the sender. */
export const blockSizeMax = 65_536;

/**
 * Limits on the extra keys of one event, which are read in one step: bytes, and values of any kind. A step of an engine
 * stores some thousand blocks, with a medium or two each.
 */
export const extraKeysBytesMax: number = 1024 * 1024;
export const extraKeysValuesMax = 65_536;

/**
 * Why an event was left out. `medium`: not the device's memory. `locality`: another node's. `attention-kind`: a
 * KV-cache group that does not keep the whole prefix. `placeholder`: has neither tokens nor a block size.
 * `unknown-type`: an unknown tag. `malformed`: a field has the wrong form.
 */
export type SkipReason = 'medium' | 'locality' | 'attention-kind' | 'placeholder' | 'unknown-type' | 'malformed';

/** The keys of an event in map form, which are the fields of one in array form too. */
const fieldNames = [
  'type',
  'block_hashes',
  'parent_block_hash',
  'token_ids',
  'block_size',
  'lora_id',
  'lora_name',
  'medium',
  'locality',
  'extra_keys',
  'cache_salt',
  'group_idx',
  'kv_cache_spec_kind',
] as const;
type FieldName = (typeof fieldNames)[number];

const field = Object.fromEntries(fieldNames.map((name, index) => [name, index])) as Readonly<Record<FieldName, number>>;
const typeField = field.type;
const hashesField = field.block_hashes;
const tokensField = field.token_ids;
const unknownField = -1;
/** Stands for the field before the first one. */
const firstKey = fieldNames.length;

/** Positions as in vLLM up to 0.23. Behind them is a tail, see `#readTail`. */
const storedPositions: readonly FieldName[] = [
  'type',
  'block_hashes',
  'parent_block_hash',
  'token_ids',
  'block_size',
  'lora_id',
  'medium',
  'lora_name',
  'extra_keys',
];
const removedPositions: readonly FieldName[] = ['type', 'block_hashes', 'medium'];
const [storedFields, removedFields] = [storedPositions, removedPositions].map((names) =>
  names.map((name) => field[name]),
) as [number[], number[]];

const known = (text: string): KnownText => new KnownText(text);
const keys = fieldNames.map(known);
const storedTag = known('BlockStored');
const removedTag = known('BlockRemoved');
const clearedTag = known('AllBlocksCleared');
const deviceMedia = ['GPU', 'DEVICE'].map(known);
const localLocalities = ['LOCAL'].map(known);
const wholePrefixKinds = ['full_attention', 'mla_attention', 'sink_full_attention'].map(known);

/** Owns the memory of the events it returns. */
export class KvEventDecoder {
  /** Offset after the event last read, and those joined to it. */
  end = 0;
  /** How many events were joined to the one last read. */
  joined = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  /** For each field the one that followed it in the event before, which is tried first. */
  readonly #following = new Int32Array(fieldNames.length + 1);
  /** Where the value of each field of the event is; 0: absent, since a batch begins there. */
  readonly #values = new Int32Array(fieldNames.length);
  /** Offset after the extra keys, if there are any. */
  #extraKeysEnd = 0;
  readonly #hashes = new WordList();
  readonly #tokens = new WordList();
  readonly #parent = new Uint32Array(2);

  /**
   * Reads the event at `start` of a payload that has passed `MessagePackWalk`. Never throws: an unreadable event yields
   * a reason. The event's words are valid until the next call.
   * @param joinedMax so many of the events behind it may be joined to it, see `#join`. There must be as many
   */
  read(payload: Uint8Array, start: number, joinedMax = 0): KvEvent | SkipReason {
    this.joined = 0;
    if (this.#bytes !== payload) {
      this.#bytes = payload;
      this.#view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    }
    this.#values.fill(0);
    this.#hashes.forget();
    this.#tokens.forget();
    const head = payload[start]!;
    const isList = isArray(head);
    if (!isList && !isMap(head)) {
      this.end = skipValue(payload, start);
      return 'malformed';
    }
    const length = lengthAt(payload, start);
    if (isList) this.#readArray(start + headBytes(head), length);
    else this.#readMap(start + headBytes(head), length);
    return this.#event(start, joinedMax);
  }

  #event(start: number, joinedMax: number): KvEvent | SkipReason {
    const tag = this.#values[typeField]!;
    if (tag === 0 || !isText(this.#bytes[tag]!)) return 'malformed';
    if (this.#isText(tag, storedTag)) return this.#excluded() ?? this.#stored();
    if (this.#isText(tag, removedTag)) return this.#excluded() ?? this.#removed(start, joinedMax);
    return this.#isText(tag, clearedTag) ? { kind: 'cleared' } : 'unknown-type';
  }

  #excluded(): SkipReason | null {
    if (!this.#isAny(field.medium, deviceMedia)) return 'medium';
    if (!this.#isAny(field.locality, localLocalities)) return 'locality';
    if (!this.#isAny(field.kv_cache_spec_kind, wholePrefixKinds)) return 'attention-kind';
    return null;
  }

  #stored(): KvEvent | SkipReason {
    const blockSize = this.#integer(field.block_size, blockSizeMax);
    if (this.#tokens.count < 0 || blockSize === null) return 'malformed';
    if (blockSize === 0 || this.#tokens.count === 0) return 'placeholder';
    if (!this.#hashes.isWhole || !this.#tokens.isWhole) return 'malformed';
    const parentAt = this.#values[field.parent_block_hash]!;
    // llm-d-inference-sim sends the parent 0 instead of nil for a root block.
    const isRoot = this.#isNil(parentAt) || integerAt(this.#bytes, parentAt) === 0;
    if (!isRoot && !readHash(this.#bytes, this.#view, parentAt, this.#parent, 0)) return 'malformed';
    if (!this.#hasFewExtraKeys()) return 'malformed';
    const hashes = this.#hashes.words;
    const parent = isRoot ? null : this.#parent;
    const group = this.#group();
    if (group !== 0) {
      mixGroup(hashes, group);
      if (parent !== null) mixGroup(parent, group);
    }
    const saltAt = this.#values[field.cache_salt]!;
    const salt = isRoot ? this.#text(saltAt) : null;
    const {
      lora,
      salt: anySalt,
      extras,
    } = readExtraKeys(this.#extraKeys(), hashes.length / 2, isRoot, this.#lora(), salt);
    return { kind: 'stored', hashes, parent, tokens: this.#tokens.words, blockSize, lora, salt: anySalt, extras };
  }

  #removed(start: number, joinedMax: number): KvEvent | SkipReason {
    if (!this.#hashes.isWhole) return 'malformed';
    if (joinedMax > 0 && this.#hashes.count === 1) this.#join(start, joinedMax);
    const hashes = this.#hashes.words;
    const group = this.#group();
    if (group !== 0) mixGroup(hashes, group);
    return { kind: 'removed', hashes };
  }

  /**
   * vLLM sends an event for each evicted block. Events that differ from the one just read only in the bytes of their hash
   * are read as one list of blocks, which means the same.
   */
  #join(start: number, joinedMax: number): void {
    const bytes = this.#bytes;
    const view = this.#view;
    const listAt = this.#values[hashesField]!;
    const hashAt = listAt + headBytes(bytes[listAt]!);
    // The hash's first bytes tell its form.
    const hashStart = hashAt + (isBinary(bytes[hashAt]!) ? headBytes(bytes[hashAt]!) : 1);
    const hashEnd = skipValue(bytes, hashAt);
    const { end } = this;
    const step = end - start;
    let next = end;
    while (
      this.joined < joinedMax &&
      next + step <= bytes.length &&
      areEqual(view, start, next, hashStart - start) &&
      areEqual(view, hashEnd, next + hashEnd - start, end - hashEnd)
    ) {
      next += step;
      this.joined++;
    }
    if (this.joined > 0) this.#hashes.readSpaced(bytes, view, hashAt, step, 1 + this.joined);
    this.end = next;
  }

  /** Reads lists at once, so that no byte is read twice, and notes where other values are. */
  #readValue(which: number, at: number): number {
    if (which >= 0) this.#values[which] = at;
    if (which === hashesField) {
      this.#hashes.readHashes(this.#bytes, this.#view, at);
      return this.#hashes.end;
    }
    if (which === tokensField) {
      this.#tokens.readTokens(this.#bytes, this.#view, at);
      return this.#tokens.end;
    }
    const end = skipValue(this.#bytes, at);
    if (which === field.extra_keys) this.#extraKeysEnd = end;
    return end;
  }

  #readMap(start: number, entries: number): void {
    const bytes = this.#bytes;
    let at = start;
    let before: number = firstKey;
    for (let entry = 0; entry < entries; entry++) {
      let which = this.#following[before]!;
      if (!this.#isText(at, keys[which]!)) {
        which = this.#fieldOf(at);
        if (which >= 0) this.#following[before] = which;
      }
      if (which >= 0) before = which;
      at = this.#readValue(which, skipValue(bytes, at));
    }
    this.end = at;
  }

  #fieldOf(keyAt: number): number {
    for (let which = 0; which < keys.length; which++) if (this.#isText(keyAt, keys[which]!)) return which;
    return unknownField;
  }

  #readArray(start: number, length: number): void {
    const isStored = length > 0 && this.#isText(start, storedTag);
    const fields = isStored ? storedFields : removedFields;
    let at = start;
    for (let position = 0; position < Math.min(length, fields.length); position++) {
      at = this.#readValue(fields[position]!, at);
    }
    this.end = this.#readTail(at, length - fields.length);
    if (isStored) this.#readSaltField();
  }

  /**
   * Told apart by type and order: the text is the attention kind, a number before it the group, one after it the
   * window. Other senders may have one more list before.
   */
  #readTail(start: number, count: number): number {
    const bytes = this.#bytes;
    let at = start;
    for (let i = 0; i < count; i++) {
      const head = bytes[at]!;
      if (this.#values[field.kv_cache_spec_kind] === 0) {
        if (isText(head)) this.#values[field.kv_cache_spec_kind] = at;
        else if (isNumber(head) && this.#values[field.group_idx] === 0) this.#values[field.group_idx] = at;
      }
      at = skipValue(bytes, at);
    }
    return at;
  }

  /** SGLang's arrays have {cache_salt} where vLLM has the adapter's name. */
  #readSaltField(): void {
    const bytes = this.#bytes;
    const mapAt = this.#values[field.lora_name]!;
    if (mapAt === 0 || !isMap(bytes[mapAt]!)) return;
    let at = mapAt + headBytes(bytes[mapAt]!);
    for (let entry = 0; entry < lengthAt(bytes, mapAt); entry++) {
      const valueStart = skipValue(bytes, at);
      if (this.#isText(at, keys[field.cache_salt]!)) this.#values[field.cache_salt] = valueStart;
      at = skipValue(bytes, valueStart);
    }
  }

  /** Absent counts as nil. */
  #isNil(at: number): boolean {
    return at === 0 || this.#bytes[at] === 0xc0 || this.#bytes[at] === 0xc1;
  }

  /** Absent, nil or one of these texts. */
  #isAny(which: number, texts: readonly KnownText[]): boolean {
    const at = this.#values[which]!;
    if (this.#isNil(at)) return true;
    for (let i = 0; i < texts.length; i++) if (this.#isText(at, texts[i]!)) return true;
    return false;
  }

  #isText(at: number, text: KnownText): boolean {
    return text.equals(this.#bytes, this.#view, at);
  }

  /** An integer in 0 .. max of any wire width, or null. */
  #integer(which: number, max: number): number | null {
    const at = this.#values[which]!;
    const value = at === 0 ? Number.NaN : integerAt(this.#bytes, at);
    return value >= 0 && value <= max ? value : null;
  }

  #group(): number {
    return this.#integer(field.group_idx, 0xffffffff) ?? 0;
  }

  #hasFewExtraKeys(): boolean {
    const start = this.#values[field.extra_keys]!;
    if (start === 0) return true;
    return (
      this.#extraKeysEnd - start <= extraKeysBytesMax &&
      valuesAt(this.#bytes, start, extraKeysValuesMax) <= extraKeysValuesMax
    );
  }

  /** Null if no block has any. */
  #extraKeys(): unknown {
    const bytes = this.#bytes;
    const start = this.#values[field.extra_keys]!;
    if (start === 0 || !isArray(bytes[start]!)) return null;
    const count = lengthAt(bytes, start);
    const at = start + headBytes(bytes[start]!);
    for (let i = 0; i < count; i++) if (bytes[at + i] !== 0xc0) return valueAt(bytes, start);
    return null;
  }

  #lora(): string | null {
    const name = this.#text(this.#values[field.lora_name]!);
    if (name !== null) return name;
    const idAt = this.#values[field.lora_id]!;
    return idAt !== 0 && isNumber(this.#bytes[idAt]!) ? String(valueAt(this.#bytes, idAt)) : null;
  }

  #text(at: number): string | null {
    return at !== 0 && isText(this.#bytes[at]!) ? String(valueAt(this.#bytes, at)) : null;
  }
}

/** Whether the bytes from `a` on equal those from `b` on. */
function areEqual(view: DataView, a: number, b: number, length: number): boolean {
  let i = 0;
  for (; i + 4 <= length; i += 4) if (view.getInt32(a + i) !== view.getInt32(b + i)) return false;
  for (; i < length; i++) if (view.getUint8(a + i) !== view.getUint8(b + i)) return false;
  return true;
}

/**
 * Groups of a hybrid model give the same tokens the same hash, so a group other than 0 is mixed in to keep their
 * handles apart. The factors are odd, so only group 0 maps to 0.
 */
function mixGroup(hashes: Uint32Array, group: number): void {
  const low = Math.imul(group, 0x9e3779b1);
  const high = Math.imul(group, 0x85ebca77);
  for (let i = 0; i < hashes.length; i += 2) {
    hashes[i] = hashes[i]! ^ low;
    hashes[i + 1] = hashes[i + 1]! ^ high;
  }
}
