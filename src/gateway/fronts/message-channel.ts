// Messages between two processes over a socket: all of one turn of the event loop in one write.
//
// A frame is four bytes of length and the list of messages as V8 serializes it. While the other side does not read, no
// frame is written and messages wait;

import type { Duplex } from 'node:stream';
import { deserialize, serialize } from 'node:v8';

const lengthBytes = 4;
/** The other side is the same program, so a longer frame is a fault. */
const frameBytesMax = 1024 * 1024 * 1024;

export interface ChannelCallbacks<In> {
  receive(message: In): void;
  /** Called once, when the other side is gone. */
  lost(reason: string): void;
}

export class MessageChannel<In, Out> {
  readonly #socket: Duplex;
  readonly #callbacks: ChannelCallbacks<In>;
  #waiting: Out[] = [];
  #scheduled = false;
  /** The socket takes no more until it drains. */
  #full = false;
  #lost = false;
  /** Bytes received and not read yet. */
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #flushed: (() => void) | null = null;

  constructor(socket: Duplex, callbacks: ChannelCallbacks<In>) {
    this.#socket = socket;
    this.#callbacks = callbacks;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('drain', () => {
      this.#full = false;
      this.#schedule();
    });
    socket.on('error', (error) => this.#lose(error.message));
    socket.on('close', () => this.#lose('its socket closed'));
  }

  post(message: Out): void {
    if (this.#lost) return;
    this.#waiting.push(message);
    this.#schedule();
  }

  /** Resolves once everything posted has been written. */
  drained(): Promise<void> {
    if (this.#lost || (this.#waiting.length === 0 && this.#socket.writableLength === 0)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#flushed = resolve;
    });
  }

  close(): void {
    this.#lost = true;
    this.#socket.destroy();
  }

  #schedule(): void {
    if (this.#scheduled || this.#full || this.#lost) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    if (this.#lost) return;
    if (this.#waiting.length === 0) return;
    const body = serialize(this.#waiting);
    this.#waiting = [];
    const frame = Buffer.allocUnsafe(lengthBytes + body.length);
    frame.writeUInt32LE(body.length, 0);
    body.copy(frame, lengthBytes);
    this.#full = !this.#socket.write(frame, () => {
      if (this.#waiting.length > 0 || this.#flushed === null) return;
      this.#flushed();
      this.#flushed = null;
    });
  }

  #read(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.length;
    for (;;) {
      if (this.#receivedBytes < lengthBytes) return;
      const length = this.#peekLength();
      if (length > frameBytesMax) {
        this.#lose(`a frame of ${length} bytes`);
        return;
      }
      if (this.#receivedBytes < lengthBytes + length) return;
      const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
      const end = lengthBytes + length;
      const rest = all.subarray(end);
      this.#received = rest.length === 0 ? [] : [rest];
      this.#receivedBytes = rest.length;
      const messages = this.#deserialized(all.subarray(lengthBytes, end));
      if (messages === null) return;
      for (const message of messages) {
        if (this.#lost) return;
        this.#callbacks.receive(message);
      }
    }
  }

  #deserialized(bytes: Buffer): In[] | null {
    try {
      // A copy: what is read keeps views of the bytes.
      return deserialize(Buffer.from(bytes)) as In[];
    } catch (error) {
      this.#lose(`a frame that can't be read: ${(error as Error).message}`);
      return null;
    }
  }

  #peekLength(): number {
    const first = this.#received[0]!;
    if (first.length >= lengthBytes) return first.readUInt32LE(0);
    const all = Buffer.concat(this.#received);
    this.#received = [all];
    return all.readUInt32LE(0);
  }

  #lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#waiting = [];
    this.#socket.destroy();
    this.#flushed?.();
    this.#callbacks.lost(reason);
  }
}
