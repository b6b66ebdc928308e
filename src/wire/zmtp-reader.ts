// Splits the bytes of a ZMTP connection into commands and messages, within limits, in linear time.

import { frameFlags, greetingBytes } from './zmtp.ts';

export interface ZmtpLimits {
  readonly frameBytesMax: number;
  /** Of one message, over all its frames. */
  readonly messageBytesMax: number;
  /** Of one message. */
  readonly framesMax: number;
}

/** Longer commands are refused. */
const commandBytesMax = 4096;
/**
 * Initial buffer of a frame that arrives in pieces. It doubles as they arrive, so a header alone reserves little
 * memory.
 */
const firstBufferBytes = 65_536;
/** Memory per held chunk besides its bytes: a chunk may be a single byte. */
const chunkOverheadBytes = 256;

export type ZmtpItem =
  | { readonly kind: 'greeting'; readonly bytes: Uint8Array }
  | { readonly kind: 'command'; readonly body: Uint8Array }
  | { readonly kind: 'message'; readonly frames: readonly Buffer[] }
  | { readonly kind: 'failed'; readonly reason: string };

export class ZmtpReader {
  readonly #limits: ZmtpLimits;
  #chunks: Buffer[] = [];
  /** Index of the first chunk with unread bytes, and the offset of those bytes. */
  #first = 0;
  #at = 0;
  #chunkBytes = 0;
  #isGreeted = false;
  /** The frame being read: its flags, its length (-1 until its head is complete), and the bytes so far. */
  #flags = 0;
  #length = -1;
  #body: Buffer | null = null;
  #bodyBytes = 0;
  #frames: Buffer[] = [];
  #frameBytes = 0;
  #failure: string | null = null;

  constructor(limits: ZmtpLimits) {
    this.#limits = limits;
  }

  /** Bytes of memory held for what has not been returned yet. O(1) */
  get heldBytes(): number {
    const chunkCount = this.#chunks.length - this.#first;
    return this.#chunkBytes + chunkCount * chunkOverheadBytes + (this.#body?.length ?? 0) + this.#frameBytes;
  }

  /** Part of a message has arrived. */
  get isMidMessage(): boolean {
    return this.#length >= 0 || this.#frames.length > 0 || this.#chunkBytes > 0;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#failure !== null) return;
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
  }

  /** The next complete item; null if it has not arrived. After a failure only that failure is returned. */
  next(): ZmtpItem | null {
    if (this.#failure !== null) return { kind: 'failed', reason: this.#failure };
    if (!this.#isGreeted) {
      if (this.#chunkBytes < greetingBytes) return null;
      this.#isGreeted = true;
      return { kind: 'greeting', bytes: this.#take(greetingBytes) };
    }
    for (;;) {
      if (this.#length < 0) {
        const fault = this.#readHead();
        if (fault !== null) return this.#fail(fault);
        if (this.#length < 0) return null;
      }
      const body = this.#readBody();
      if (body === null) return null;
      this.#length = -1;
      if ((this.#flags & frameFlags.command) !== 0) return { kind: 'command', body };
      this.#frames.push(body);
      this.#frameBytes += body.length;
      if ((this.#flags & frameFlags.more) !== 0) continue;
      const frames = this.#frames;
      this.#frames = [];
      this.#frameBytes = 0;
      return { kind: 'message', frames };
    }
  }

  /** Reads flags and length of the next frame if they have arrived. @returns what is wrong with them, or null */
  #readHead(): string | null {
    if (this.#chunkBytes < 2) return null;
    const flags = this.#byte(0);
    const isLong = (flags & frameFlags.long) !== 0;
    if (isLong && this.#chunkBytes < 9) return null;
    const isCommand = (flags & frameFlags.command) !== 0;
    if ((flags & 0xf8) !== 0 || (isCommand && (flags & frameFlags.more) !== 0)) return 'sends a frame of unknown flags';
    let length = 0;
    if (isLong) for (let i = 1; i < 9; i++) length = length * 256 + this.#byte(i);
    else length = this.#byte(1);
    const { frameBytesMax, messageBytesMax, framesMax } = this.#limits;
    const max = isCommand ? commandBytesMax : Math.min(frameBytesMax, messageBytesMax - this.#frameBytes);
    if (length > max) return `sends a ${isCommand ? 'command' : 'message'} of more than ${max} bytes`;
    if (!isCommand && this.#frames.length >= framesMax) return `sends a message of more than ${framesMax} frames`;
    this.#skip(isLong ? 9 : 2);
    this.#flags = flags;
    this.#length = length;
    return null;
  }

  /** The frame's body; null until it is complete. Consumes the chunks it reads. */
  #readBody(): Buffer | null {
    const length = this.#length;
    if (this.#body === null && this.#chunkBytes >= length) return this.#take(length);
    this.#body ??= Buffer.allocUnsafe(Math.min(length, firstBufferBytes));
    while (this.#chunkBytes > 0 && this.#bodyBytes < length) {
      if (this.#bodyBytes === this.#body.length) {
        const larger = Buffer.allocUnsafe(Math.min(length, 2 * this.#body.length));
        this.#body.copy(larger);
        this.#body = larger;
      }
      const chunk = this.#chunks[this.#first]!;
      const room = this.#body.length - this.#bodyBytes;
      const bytes = Math.min(room, chunk.length - this.#at);
      chunk.copy(this.#body, this.#bodyBytes, this.#at, this.#at + bytes);
      this.#bodyBytes += bytes;
      this.#skip(bytes);
    }
    if (this.#bodyBytes < length) return null;
    const body = this.#body;
    this.#body = null;
    this.#bodyBytes = 0;
    return body;
  }

  /** Takes `length` bytes, which must have arrived; a view if they lie in one chunk. */
  #take(length: number): Buffer {
    if (length === 0) return Buffer.alloc(0);
    const chunk = this.#chunks[this.#first]!;
    if (chunk.length - this.#at >= length) {
      const view = chunk.subarray(this.#at, this.#at + length);
      this.#skip(length);
      return view;
    }
    const bytes = Buffer.allocUnsafe(length);
    for (let filled = 0; filled < length; ) {
      const from = this.#chunks[this.#first]!;
      const count = Math.min(length - filled, from.length - this.#at);
      from.copy(bytes, filled, this.#at, this.#at + count);
      filled += count;
      this.#skip(count);
    }
    return bytes;
  }

  /** The byte at `offset` from the current position; only used for a frame's head. */
  #byte(offset: number): number {
    let at = this.#at + offset;
    for (let i = this.#first; ; i++) {
      const chunk = this.#chunks[i]!;
      if (at < chunk.length) return chunk[at]!;
      at -= chunk.length;
    }
  }

  #skip(count: number): void {
    this.#chunkBytes -= count;
    this.#at += count;
    while (this.#first < this.#chunks.length && this.#at >= this.#chunks[this.#first]!.length) {
      this.#at -= this.#chunks[this.#first]!.length;
      this.#first += 1;
    }
    if (this.#first === this.#chunks.length) {
      this.#chunks = [];
      this.#first = 0;
    } else if (this.#first >= 64 && 2 * this.#first >= this.#chunks.length) {
      this.#chunks.splice(0, this.#first);
      this.#first = 0;
    }
  }

  #fail(reason: string): ZmtpItem {
    this.#failure = reason;
    this.#chunks = [];
    this.#first = 0;
    this.#at = 0;
    this.#chunkBytes = 0;
    this.#frames = [];
    this.#frameBytes = 0;
    return { kind: 'failed', reason };
  }
}
