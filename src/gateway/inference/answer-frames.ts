// Writes the body of an answer to the client: one buffer per write, including the chunk framing.
//
// node:http writes the size, the bytes and both line ends separately, which takes several times as long.

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const lastChunk = '0\r\n\r\n';
const emptyLine = '\r\n';

/**
 * Memory for frames, the same again for the next one if the socket took the last one at once, as it mostly does: memory of
 * its own for each would be garbage, which V8 counts against its heap.
 */
class FrameSpace {
  static readonly bytes = 8192;
  #space: Buffer = Buffer.allocUnsafeSlow(FrameSpace.bytes);
  /** Start of the unused part. */
  #at = 0;
  /** The last frame, and its start. The next one is mostly as long, and has the same place. */
  #frame: Buffer = this.#space;
  #frameAt = 0;

  /** Writes the bytes as a chunk. @returns false if the caller should wait for the socket's `drain` */
  write(socket: Socket, bytes: Buffer): boolean {
    const length = frameLength(bytes);
    if (2 * length > FrameSpace.bytes) return socket.write(framed(bytes));
    if (this.#at + length > FrameSpace.bytes) this.#renew();
    if (this.#frameAt !== this.#at || this.#frame.length !== length) this.#place(length);
    const frame = this.#frame;
    writeFrame(bytes, frame);
    const more = socket.write(frame);
    // The socket still needs it.
    if (socket.writableLength > 0) this.#at += length;
    return more;
  }

  #place(length: number): void {
    this.#frameAt = this.#at;
    this.#frame = this.#space.subarray(this.#at, this.#at + length);
  }

  #renew(): void {
    this.#space = Buffer.allocUnsafeSlow(FrameSpace.bytes);
    this.#at = 0;
    this.#frame = this.#space;
    this.#frameAt = 0;
  }
}

const frameSpace = new FrameSpace();

export class AnswerFrames {
  readonly #response: ServerResponse;
  /** Whether the answer is chunked. Otherwise it has a length, or ends with its connection. */
  readonly #isChunked: boolean;
  /** The head has been written. Later chunks go straight to the socket: node:http would only pass them on. */
  #hasBegun = false;
  /** A write straight to the socket waits for its `drain`. */
  #waits = false;

  /** @param response only its head may have been written; from now on the body is written only here */
  constructor(response: ServerResponse) {
    this.#response = response;
    this.#isChunked = response.chunkedEncoding;
    // The head has announced chunks; this class writes them.
    response.chunkedEncoding = false;
  }

  /** The client's connection is full: writes should wait for the response's `drain`. */
  get needsDrain(): boolean {
    return this.#response.writableNeedDrain || this.#waits;
  }

  /** Copies the bytes. @returns false if the caller should wait for the response's `drain` */
  write(bytes: Buffer): boolean {
    if (bytes.length === 0) return !this.needsDrain;
    const response = this.#response;
    if (!this.#isChunked) return response.write(Buffer.from(bytes));
    const { socket } = response;
    // The head goes out with the first write. A response without a socket waits for an earlier one on its connection.
    if (!this.#hasBegun || socket === null) {
      this.#hasBegun = true;
      return response.write(framed(bytes));
    }
    if (frameSpace.write(socket, bytes)) return true;
    this.#wait(socket);
    return false;
  }

  /** Emits the response's `drain`, which node:http does only after its own writes. */
  #wait(socket: Socket): void {
    if (this.#waits) return;
    this.#waits = true;
    socket.once('drain', () => {
      this.#waits = false;
      this.#response.emit('drain');
    });
  }

  /** @param bytes the end of the body */
  end(bytes: Buffer | null = null): void {
    if (bytes !== null && bytes.length > 0) this.write(bytes);
    if (this.#isChunked) this.#response.end(lastChunk, 'latin1');
    else this.#response.end();
  }
}

/** The bytes as a chunk: hexadecimal size, line end, bytes, line end. */
function framed(bytes: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(frameLength(bytes));
  writeFrame(bytes, frame);
  return frame;
}

function frameLength({ length }: Buffer): number {
  return hexDigits(length) + length + 2 * emptyLine.length;
}

/** @param frame of this length */
function writeFrame(bytes: Buffer, frame: Buffer): void {
  const digits = hexDigits(bytes.length);
  let rest = bytes.length;
  for (let at = digits - 1; at >= 0; at--) {
    const digit = rest & 15;
    frame[at] = digit < 10 ? 0x30 + digit : 0x57 + digit;
    rest >>>= 4;
  }
  frame[digits] = carriageReturn;
  frame[digits + 1] = lineFeed;
  frame.set(bytes, digits + 2);
  frame[frame.length - 2] = carriageReturn;
  frame[frame.length - 1] = lineFeed;
}

function hexDigits(length: number): number {
  return Math.max(1, Math.ceil((32 - Math.clz32(length)) / 4));
}
