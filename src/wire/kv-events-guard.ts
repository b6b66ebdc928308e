// Checks a MessagePack payload by its headers alone, so that no false length reaches the decoder.

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
 * Bytes after the header byte 0xc4 + i: those of its length field, then its fixed part. -1: the type is not allowed.
 */
const lengthBytes = [1, 2, 4, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4];
const fixedBytes = [0, 0, 0, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/**
 * One pass over the payload, in pieces as large as the caller likes. `done` means one complete value within the limits,
 * with every declared length checked against the bytes present. Extension types are refused: no engine sends them, and
 * some would leave state in the decoder.
 */
export class MessagePackWalk {
  /** Offsets of the items of the outermost array or map. */
  readonly outerItems: number[] = [];
  /** Offsets of the items of the arrays and maps inside it. */
  readonly innerItems: number[] = [];
  readonly #bytes: Uint8Array;
  readonly #itemsLeft: number[] = [1];
  #containers = 0;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Checks up to `itemsMax` more items. */
  advance(itemsMax: number): 'more' | 'done' | GuardReason {
    const bytes = this.#bytes;
    const end = bytes.length;
    const itemsLeft = this.#itemsLeft;
    if (end > payloadBytesMax) return 'too-long';
    let offset = this.#offset;
    let seen = 0;
    while (itemsLeft.length > 0) {
      const depth = itemsLeft.length - 1;
      if (itemsLeft[depth] === 0) {
        itemsLeft.pop();
        continue;
      }
      if (seen++ === itemsMax) {
        this.#offset = offset;
        return 'more';
      }
      itemsLeft[depth]!--;
      if (offset >= end) return 'truncated';
      if (depth === 1) this.outerItems.push(offset);
      else if (depth === 2) this.innerItems.push(offset);
      const head = bytes[offset++]!;
      let items = -1;
      if (head < 0x80 || head >= 0xe0 || (head >= 0xc0 && head <= 0xc3)) continue;
      if (head < 0x90) items = (head & 0x0f) * 2;
      else if (head < 0xa0) items = head & 0x0f;
      else if (head < 0xc0) offset += head & 0x1f;
      else {
        const width = lengthBytes[head - 0xc4]!;
        if (width < 0) return 'extension';
        if (offset + width > end) return 'truncated';
        let length = 0;
        for (let i = 0; i < width; i++) length = length * 256 + bytes[offset++]!;
        if (head >= 0xde) items = length * 2;
        else if (head >= 0xdc) items = length;
        else offset += length + fixedBytes[head - 0xc4]!;
      }
      if (offset > end || items > end - offset) return 'truncated';
      if (items < 0) continue;
      if (++this.#containers > containersMax) return 'too-many-containers';
      if (itemsLeft.length > nestingMax) return 'too-deep';
      itemsLeft.push(items);
    }
    this.#offset = offset;
    return offset === end ? 'done' : 'trailing-bytes';
  }
}
