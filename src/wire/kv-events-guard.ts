// Checks a MessagePack payload by its headers alone, so that no false length reaches the decoder.

import { headBytes, isArray, isMap, lengthAt, plainBytes } from './message-pack.ts';

/** Longer payloads are refused unread. A step that stores a million tokens takes about 6 MB. */
export const payloadBytesMax: number = 8 * 1024 * 1024;
/**
 * Limit on arrays and maps per payload: an event has two or three, and an engine with pages of one token sends an event
 * per token.
 */
export const containersMax = 262_144;
/** Limit on nesting. The deepest known field is a media key: batch, events, event, keys, key, pair. */
export const nestingMax = 16;

export type GuardReason =
  | 'too-long'
  | 'truncated'
  | 'trailing-bytes'
  | 'too-deep'
  | 'too-many-containers'
  | 'extension';

/**
 * One pass over the payload, in pieces as large as the caller likes. `done` means one complete value within the limits,
 * with every declared length checked against the bytes present. Extension types are refused: no engine sends them.
 */
export class MessagePackWalk {
  /** Offsets of the items of the outermost array or map. */
  readonly outerItems: number[] = [];
  readonly #bytes: Uint8Array;
  /** Items left at each outer level; `#left` at the innermost one. */
  readonly #outer: number[] = [];
  #left = 1;
  #containers = 0;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Checks up to `itemsMax` more items. */
  advance(itemsMax: number): 'more' | 'done' | GuardReason {
    const end = this.#bytes.length;
    if (end > payloadBytesMax) return 'too-long';
    let seen = 0;
    for (;;) {
      while (this.#left === 0) {
        const left = this.#outer.pop();
        if (left === undefined) return this.#offset === end ? 'done' : 'trailing-bytes';
        this.#left = left;
      }
      if (this.#outer.length > 1) {
        seen += this.#skipPlain(Math.min(this.#left, itemsMax - seen));
        if (this.#offset > end) return 'truncated';
        if (this.#left === 0) continue;
      }
      if (seen++ >= itemsMax) return 'more';
      if (this.#offset >= end) return 'truncated';
      const fault = this.#item();
      if (fault !== null) return fault;
    }
  }

  /** Most items are integers in lists. @returns how many items were passed */
  #skipPlain(countMax: number): number {
    const bytes = this.#bytes;
    const end = bytes.length;
    let offset = this.#offset;
    let count = 0;
    for (; count < countMax && offset < end; count++) {
      const plain = plainBytes[bytes[offset]!]!;
      if (plain === 0) break;
      offset += plain;
    }
    this.#offset = offset;
    this.#left -= count;
    return count;
  }

  #item(): GuardReason | null {
    const bytes = this.#bytes;
    const end = bytes.length;
    const at = this.#offset;
    this.#left--;
    if (this.#outer.length === 1) this.outerItems.push(at);
    const head = bytes[at]!;
    const plain = plainBytes[head]!;
    if (plain > 0) {
      this.#offset = at + plain;
      return this.#offset > end ? 'truncated' : null;
    }
    if (isExtension(head)) return 'extension';
    const start = at + headBytes(head);
    if (start > end) return 'truncated';
    const length = lengthAt(bytes, at);
    const isList = isArray(head);
    this.#offset = start;
    if (!isList && !isMap(head)) {
      this.#offset += length;
      return this.#offset > end ? 'truncated' : null;
    }
    const items = isList ? length : 2 * length;
    if (items > end - start) return 'truncated';
    if (++this.#containers > containersMax) return 'too-many-containers';
    if (this.#outer.length >= nestingMax) return 'too-deep';
    this.#outer.push(this.#left);
    this.#left = items;
    return null;
  }
}

function isExtension(head: number): boolean {
  return (head >= 0xc7 && head <= 0xc9) || (head >= 0xd4 && head <= 0xd8);
}
