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
  return new Promise((resolve, reject) => {
    const announced = announcedBytes(request);
    if (announced > bytesMax) {
      reject(bodyTooLarge(bytesMax));
      return;
    }
    const body = new GrowingBody(announced, bytesMax, lease);
    let pieces = 0;
    request.on('data', (chunk: Buffer) => {
      try {
        pieces += 1;
        if (pieces > freePieces + body.bytes / pieceBytesMin) throw tooManyPieces();
        if (body.bytes + chunk.length > bytesMax) throw bodyTooLarge(bytesMax);
        body.add(chunk);
      } catch (error) {
        request.removeAllListeners('data').pause();
        body.drop();
        reject(error as Error);
        if (error instanceof LimitReached && error.limit === 'bodyPiecesMax') request.destroy();
      }
    });
    request.on('end', () => resolve(body.whole()));
    request.on('error', () => resolve(null));
    request.on('close', () => resolve(null));
  });
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

  drop(): void {
    this.#buffer = noBytes;
    this.#bytes = 0;
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
