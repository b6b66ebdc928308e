// Walks a MessagePack payload by its headers alone, so that nothing is decoded that lies about its size.

/** Longer payloads are refused unread. A step that stores a million tokens takes about 6 MB. */
export const payloadBytesMax: number = 8 * 1024 * 1024;
/** Arrays and maps in one payload: two or three an event, and an engine with pages of one token sends an event a token. */
export const containersMax = 262_144;
/** Arrays and maps inside each other. The deepest known field is a media key: batch, events, event, keys, key, pair. */
export const nestingMax = 16;

export type GuardReason =
  | 'too-long'
  | 'truncated'
  | 'trailing-bytes'
  | 'too-deep'
  | 'too-many-containers'
  | 'extension';

/** Bytes that follow the header byte 0xc4 + i: its length field, then its fixed part (-1: no such type here). */
const lengthBytes = [1, 2, 4, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, 1, 2, 4, 2, 4, 2, 4];
const fixedBytes = [0, 0, 0, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/**
 * One pass over the payload, in as many pieces as the caller likes. It is one complete value within the limits when
 * `advance` says `done`. Every declared length is held against the bytes that are there. Extension types are refused:
 * no engine sends them, and some would leave state in the decoder.
 */
export class MessagePackWalk {
  /** Offsets of the items of the outermost array or map. */
  readonly outerItems: number[] = [];
  /** Offsets of the items of the arrays and maps in it. */
  readonly innerItems: number[] = [];
  readonly #bytes: Uint8Array;
  readonly #itemsLeft: number[] = [1];
  #containers = 0;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Looks at up to `itemsMax` further items. */
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
