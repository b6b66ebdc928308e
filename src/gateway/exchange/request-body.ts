// Reads a request body, up to a limit.

import type { IncomingMessage } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import type { BodyLease } from './body-budget.ts';
import { LimitReached } from './limit-reached.ts';

const noBytes = Buffer.alloc(0);

/** Initial capacity once a body of unknown length has more than one chunk. */
const capacityBytesMin = 65_536;

/** A body may have this many chunks, plus one for every `pieceBytesMin` bytes: each chunk costs time, however small. */
const freePieces = 1024;
const pieceBytesMin = 64;

/**
 * @param lease grows as bytes arrive; null if the request is not counted
 * @returns null if the client disconnected before the body was complete
 * @throws RequestError 413 if the body exceeds `bytesMax`, 503 if the lease can't grow (the rest stays unread); 400 for
 * too many chunks, which also closes the connection
 */
export function readBody(request: IncomingMessage, bytesMax: number, lease: BodyLease | null): Promise<Buffer | null> {
  const announced = announcedBytes(request);
  if (announced > bytesMax) return Promise.reject(bodyTooLarge(bytesMax));
  return new Promise((resolve, reject) => {
    // No variable of these functions has the body.
    const reading = new BodyReading(request, bytesMax, {
      body: new GrowingBody(announced, bytesMax, lease),
      resolve,
      reject,
    });
    request.on('data', (chunk: Buffer) => reading.add(chunk));
    request.on('end', () => reading.end());
    request.on('error', () => reading.cut());
    request.on('close', () => reading.cut());
  });
}

interface Collecting {
  readonly body: GrowingBody;
  resolve(body: Buffer | null): void;
  reject(error: Error): void;
}

/** What the listeners of a request know. They stay as long as the request, so afterwards they must not keep its body. */
class BodyReading {
  readonly #request: IncomingMessage;
  readonly #bytesMax: number;
  /** Null: it has ended. The promise that these functions settle keeps its value, too. */
  #collecting: Collecting | null;
  #pieces = 0;

  constructor(request: IncomingMessage, bytesMax: number, collecting: Collecting) {
    this.#request = request;
    this.#bytesMax = bytesMax;
    this.#collecting = collecting;
  }

  add(chunk: Buffer): void {
    if (this.#collecting === null) return;
    const { body, reject } = this.#collecting;
    try {
      this.#pieces += 1;
      if (this.#pieces > freePieces + body.bytes / pieceBytesMin) throw tooManyPieces();
      if (body.bytes + chunk.length > this.#bytesMax) throw bodyTooLarge(this.#bytesMax);
      body.add(chunk);
    } catch (error) {
      this.#collecting = null;
      this.#request.removeAllListeners('data').pause();
      reject(error as Error);
      if (error instanceof LimitReached && error.limit === 'bodyPiecesMax') this.#request.destroy();
    }
  }

  end(): void {
    const collecting = this.#collecting;
    this.#collecting = null;
    collecting?.resolve(collecting.body.whole());
  }

  cut(): void {
    this.#collecting?.resolve(null);
    this.#collecting = null;
  }
}

/**
 * Collects the chunks of a body in one buffer, so that small chunks take at most twice their bytes. An announced body
 * gets its full buffer at once; the system allocates its pages only as bytes arrive.
 */
class GrowingBody {
  readonly #announced: number;
  readonly #bytesMax: number;
  readonly #lease: BodyLease | null;
  /** The first chunk itself, until a second one arrives. */
  #buffer: Buffer = noBytes;
  #bytes = 0;

  /** @param announced 0 if the length is unknown @param bytesMax limit on the buffer's growth */
  constructor(announced: number, bytesMax: number, lease: BodyLease | null) {
    this.#announced = announced;
    this.#bytesMax = bytesMax;
    this.#lease = lease;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws LimitReached if the lease can't grow */
  add(piece: Buffer): void {
    const bytes = this.#bytes + piece.length;
    this.#lease?.growTo(bytes);
    if (this.#bytes === 0) {
      this.#buffer = piece;
    } else {
      if (bytes > this.#buffer.length) this.#grow(bytes);
      piece.copy(this.#buffer, this.#bytes);
    }
    this.#bytes = bytes;
  }

  whole(): Buffer {
    return this.#buffer.subarray(0, this.#bytes);
  }

  #grow(bytesMin: number): void {
    const doubled = Math.max(capacityBytesMin, 2 * this.#buffer.length);
    const capacity = Math.max(bytesMin, this.#announced > 0 ? this.#announced : Math.min(doubled, this.#bytesMax));
    if (this.#announced === 0) this.#lease?.growTo(capacity);
    const larger = Buffer.allocUnsafeSlow(capacity);
    this.#buffer.copy(larger, 0, 0, this.#bytes);
    this.#buffer = larger;
  }
}

/** `Content-Length`, or 0 without one. */
export function announcedBytes(request: IncomingMessage): number {
  return Number(request.headers['content-length'] ?? 0);
}

export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || announcedBytes(request) > 0;
}

export function bodyTooLarge(bytesMax: number): RequestError {
  return new RequestError(413, 'body_too_large', `the body exceeds the limit of ${bytesMax} bytes`);
}

function tooManyPieces(): LimitReached {
  const message = `the body arrives in chunks of fewer than ${pieceBytesMin} bytes`;
  return new LimitReached('bodyPiecesMax', 400, 'body_in_pieces', message);
}
