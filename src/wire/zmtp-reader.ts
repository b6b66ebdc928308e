// Splits the bytes of a ZMTP connection into commands and messages, within limits, in linear time.
//
// The bytes are copied into memory that readers use again: memory of its own for each read would be garbage, which V8
// counts against its heap.

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
/** Flags and a length of eight bytes. */
const longHeadBytes = 9;
/** For the bytes of one read. */
const spareBytes = 65_536;
/** More are not kept. */
const sparesMax = 16;

export type ZmtpItem =
  | { readonly kind: 'greeting'; readonly bytes: Uint8Array }
  | { readonly kind: 'command'; readonly body: Uint8Array }
  | { readonly kind: 'message'; readonly frames: readonly Buffer[] }
  | { readonly kind: 'failed'; readonly reason: string };

const noRoom = Buffer.alloc(0);
const spares: Buffer[] = [];

export class ZmtpReader {
  readonly #limits: ZmtpLimits;
  /** What is not returned yet lies from `#at` to `#end`. */
  #room: Buffer = noRoom;
  #at = 0;
  #end = 0;
  /** The item that was returned last lies in `#room`. */
  #isLent = false;
  #isGreeted = false;
  /** Bytes from `#at` on that are read: those of the message so far. */
  #read = 0;
  /** The frame being read: its flags, and its length, -1 until its head is complete. */
  #flags = 0;
  #length = -1;
  /** Start and end of each complete frame of the message so far, from `#at` on, and their bytes. */
  #frames: number[] = [];
  #frameBytes = 0;
  #failure: string | null = null;

  constructor(limits: ZmtpLimits) {
    this.#limits = limits;
  }

  /** Bytes of memory held for what has not been returned yet: at most `spareBytes`, or twice its bytes. */
  get heldBytes(): number {
    return this.isMidMessage ? this.#room.length : 0;
  }

  /** Part of a message has arrived. */
  get isMidMessage(): boolean {
    return this.#end > this.#at;
  }

  /** Copies the bytes. */
  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#failure !== null) return;
    if (this.#end + chunk.length > this.#room.length) this.#makeRoom(chunk.length);
    chunk.copy(this.#room, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next complete item, valid until the next call; null if it has not arrived. After a failure only that failure is
   * returned.
   */
  next(): ZmtpItem | null {
    this.#isLent = false;
    if (this.#failure !== null) return { kind: 'failed', reason: this.#failure };
    const item = this.#item();
    if (item === null) this.#shrink();
    else this.#isLent = true;
    return item;
  }

  #item(): ZmtpItem | null {
    if (!this.#isGreeted) {
      if (this.#end - this.#at < greetingBytes) return null;
      this.#isGreeted = true;
      this.#at += greetingBytes;
      return { kind: 'greeting', bytes: this.#room.subarray(this.#at - greetingBytes, this.#at) };
    }
    for (;;) {
      if (this.#length < 0) {
        const fault = this.#readHead();
        if (fault !== null) return this.#fail(fault);
        if (this.#length < 0) return null;
      }
      const start = this.#read;
      const end = start + this.#length;
      if (this.#end - this.#at < end) return null;
      this.#read = end;
      this.#frameBytes += this.#length;
      this.#length = -1;
      if ((this.#flags & frameFlags.command) !== 0) {
        const body = this.#room.subarray(this.#at + start, this.#at + end);
        if (this.#frames.length === 0) this.#pass();
        // Between the frames of a message it counts as a part of it, since its bytes stay.
        else this.#frameBytes += longHeadBytes;
        return { kind: 'command', body };
      }
      this.#frames.push(start, end);
      if ((this.#flags & frameFlags.more) === 0) return { kind: 'message', frames: this.#message() };
    }
  }

  #message(): Buffer[] {
    const frames: Buffer[] = [];
    for (let i = 0; i < this.#frames.length; i += 2) {
      frames.push(this.#room.subarray(this.#at + this.#frames[i]!, this.#at + this.#frames[i + 1]!));
    }
    this.#pass();
    return frames;
  }

  /** All that is read is returned. */
  #pass(): void {
    this.#at += this.#read;
    this.#read = 0;
    this.#frames.length = 0;
    this.#frameBytes = 0;
  }

  /** Reads flags and length of the next frame if they have arrived. @returns what is wrong with them, or null */
  #readHead(): string | null {
    const at = this.#at + this.#read;
    if (this.#end < at + 2) return null;
    const flags = this.#room[at]!;
    const isLong = (flags & frameFlags.long) !== 0;
    if (isLong && this.#end < at + longHeadBytes) return null;
    const isCommand = (flags & frameFlags.command) !== 0;
    if ((flags & 0xf8) !== 0 || (isCommand && (flags & frameFlags.more) !== 0)) return 'sends a frame of unknown flags';
    let length = 0;
    if (isLong) for (let i = 1; i < longHeadBytes; i++) length = length * 256 + this.#room[at + i]!;
    else length = this.#room[at + 1]!;
    const { frameBytesMax, messageBytesMax, framesMax } = this.#limits;
    const max = Math.min(isCommand ? commandBytesMax : frameBytesMax, messageBytesMax - this.#frameBytes);
    if (length > max) return `sends a ${isCommand ? 'command' : 'message'} of more than ${max} bytes`;
    if (!isCommand && this.#frames.length >= 2 * framesMax) return `sends a message of more than ${framesMax} frames`;
    this.#read += isLong ? longHeadBytes : 2;
    this.#flags = flags;
    this.#length = length;
    return null;
  }

  /** For more bytes behind those that are not returned yet. */
  #makeRoom(bytes: number): void {
    const [room, at, end] = [this.#room, this.#at, this.#end];
    const held = end - at;
    // Each byte is moved a limited number of times: half of the memory is free then.
    if (!this.#isLent && held <= at && held + bytes <= room.length) room.copyWithin(0, at, end);
    else {
      this.#room = takeRoom(held + bytes);
      room.copy(this.#room, 0, at, end);
      if (!this.#isLent) giveBack(room);
    }
    this.#at = 0;
    this.#end = held;
  }

  /** Keeps no more memory than twice what is not returned yet, and none if that is nothing. */
  #shrink(): void {
    const [room, at, held] = [this.#room, this.#at, this.#end - this.#at];
    if (4 * held > room.length || room.length === 0) return;
    this.#room = held === 0 ? noRoom : Buffer.allocUnsafeSlow(2 * held);
    room.copy(this.#room, 0, at, at + held);
    giveBack(room);
    this.#at = 0;
    this.#end = held;
  }

  #fail(reason: string): ZmtpItem {
    this.#failure = reason;
    this.#room = noRoom;
    this.#at = 0;
    this.#end = 0;
    return { kind: 'failed', reason };
  }
}

function takeRoom(bytes: number): Buffer {
  if (bytes > spareBytes) return Buffer.allocUnsafeSlow(2 * bytes);
  return spares.pop() ?? Buffer.allocUnsafeSlow(spareBytes);
}

function giveBack(room: Buffer): void {
  if (room.length === spareBytes && spares.length < sparesMax) spares.push(room);
}
