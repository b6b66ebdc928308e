// Reads single MessagePack values in place. The payload must have passed `MessagePackWalk`, which checks every length.

/** Bytes of an item by its first byte alone; 0 if that does not tell, or if there are items inside. */
export const plainBytes: Uint8Array = Uint8Array.from({ length: 256 }, (_, head) => {
  if (head < 0x80 || head >= 0xe0 || (head >= 0xc0 && head <= 0xc3)) return 1;
  if (head >= 0xa0 && head < 0xc0) return 1 + (head & 0x1f);
  // 0xca to 0xd3: floats of 4 and 8 bytes, then unsigned and signed integers of 1, 2, 4 and 8.
  return head >= 0xca && head <= 0xd3 ? 1 + [4, 8, 1, 2, 4, 8, 1, 2, 4, 8][head - 0xca]! : 0;
});

/** Bytes before the content of an array, a map, a text or binary data. */
export function headBytes(head: number): number {
  if (head < 0xc0) return 1;
  if (head === 0xc4 || head === 0xd9) return 2;
  return head === 0xc5 || head === 0xda || head === 0xdc || head === 0xde ? 3 : 5;
}

/** Items of an array, entries of a map, bytes of a text or of binary data. */
export function lengthAt(bytes: Uint8Array, at: number): number {
  const head = bytes[at]!;
  if (head < 0xa0) return head & 0x0f;
  if (head < 0xc0) return head & 0x1f;
  const width = headBytes(head) - 1;
  let length = 0;
  for (let i = 1; i <= width; i++) length = length * 256 + bytes[at + i]!;
  return length;
}

export function isArray(head: number): boolean {
  return (head & 0xf0) === 0x90 || head === 0xdc || head === 0xdd;
}

export function isMap(head: number): boolean {
  return (head & 0xf0) === 0x80 || head === 0xde || head === 0xdf;
}

export function isText(head: number): boolean {
  return (head & 0xe0) === 0xa0 || (head >= 0xd9 && head <= 0xdb);
}

export function isBinary(head: number): boolean {
  return head >= 0xc4 && head <= 0xc6;
}

/** An integer or a float. */
export function isNumber(head: number): boolean {
  return head < 0x80 || head >= 0xe0 || (head >= 0xca && head <= 0xd3);
}

/** Offset after the value at `at`. O(items in it) */
export function skipValue(bytes: Uint8Array, at: number): number {
  const whole = plainBytes[bytes[at]!]!;
  return whole > 0 ? at + whole : skipLong(bytes, at);
}

function skipLong(bytes: Uint8Array, at: number): number {
  for (let left = 1; left > 0; left--) {
    const head = bytes[at]!;
    const plain = plainBytes[head]!;
    if (plain > 0) {
      at += plain;
      continue;
    }
    const length = lengthAt(bytes, at);
    at += headBytes(head);
    if (isArray(head)) left += length;
    else if (isMap(head)) left += 2 * length;
    else at += length;
  }
  return at;
}

/** Values in the value at `at`, itself included; more than `max` are not counted to the end. O(values) */
export function valuesAt(bytes: Uint8Array, start: number, max: number): number {
  let at = start;
  let values = 0;
  for (let left = 1; left > 0 && values <= max; left--) {
    const head = bytes[at]!;
    values += 1;
    const plain = plainBytes[head]!;
    if (plain > 0) {
      at += plain;
      continue;
    }
    const length = lengthAt(bytes, at);
    at += headBytes(head);
    if (isArray(head)) left += length;
    else if (isMap(head)) left += 2 * length;
    else at += length;
  }
  return values;
}

/** An integer of any width; rounded above 2^53. NaN for any other value. */
export function integerAt(bytes: Uint8Array, at: number): number {
  const head = bytes[at]!;
  if (head < 0x80) return head;
  if (head >= 0xe0) return head - 0x100;
  switch (head) {
    case 0xcc:
      return bytes[at + 1]!;
    case 0xcd:
      return (bytes[at + 1]! << 8) | bytes[at + 2]!;
    case 0xce:
      return wordAt(bytes, at + 1) >>> 0;
    case 0xcf:
      return (wordAt(bytes, at + 1) >>> 0) * 0x1_0000_0000 + (wordAt(bytes, at + 5) >>> 0);
    case 0xd0:
      return (bytes[at + 1]! << 24) >> 24;
    case 0xd1:
      return ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16)) >> 16;
    case 0xd2:
      return wordAt(bytes, at + 1);
    case 0xd3:
      return wordAt(bytes, at + 1) * 0x1_0000_0000 + (wordAt(bytes, at + 5) >>> 0);
    default:
      return Number.NaN;
  }
}

/** Four bytes, big-endian, as a signed integer. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** A float or an integer of up to 32 bits as a number, a longer integer as a bigint. */
function numberAt(bytes: Uint8Array, at: number): number | bigint {
  const head = bytes[at]!;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at + 1);
  switch (head) {
    case 0xca:
      return view.getFloat32(0);
    case 0xcb:
      return view.getFloat64(0);
    case 0xcf:
      return view.getBigUint64(0);
    case 0xd3:
      return view.getBigInt64(0);
    default:
      return integerAt(bytes, at);
  }
}

/** Reads any value at all, by making objects: for what is rare. */
class ValueReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  read(): unknown {
    const bytes = this.#bytes;
    const at = this.#at;
    const head = bytes[at]!;
    if (plainBytes[head]! > 0 && !isText(head)) {
      this.#at += plainBytes[head]!;
      if (isNumber(head)) return numberAt(bytes, at);
      return head === 0xc2 || head === 0xc3 ? head === 0xc3 : null;
    }
    const length = lengthAt(bytes, at);
    this.#at += headBytes(head);
    if (isArray(head)) return Array.from({ length }, () => this.read());
    if (isMap(head)) return this.#map(length);
    const content = new Uint8Array(bytes.buffer, bytes.byteOffset + this.#at, length);
    this.#at += length;
    return isText(head) ? Buffer.from(content).toString() : content;
  }

  #map(entries: number): object {
    // Without a prototype every key is an ordinary one.
    const map = Object.create(null) as Record<string, unknown>;
    for (let entry = 0; entry < entries; entry++) {
      const key = this.read();
      map[typeof key === 'string' ? key : jsonOf(key)] = this.read();
    }
    return map;
  }
}

/**
 * Any value. Integers of 64 bits become bigints, binary data views of the payload, maps objects (keys that are no texts:
 * their JSON). Invalid UTF-8 is replaced.
 */
export function valueAt(bytes: Uint8Array, at: number): unknown {
  return new ValueReader(bytes, at).read();
}

/** JSON of a value from `valueAt`: bytes as hex, integers of 64 bits as decimals in quotes. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(plainOf(value));
}

function plainOf(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plainOf);
  const plain = Object.create(null) as Record<string, unknown>;
  for (const [key, inner] of Object.entries(value)) plain[key] = plainOf(inner);
  return plain;
}
