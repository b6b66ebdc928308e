// Reads the body of a client's request, up to a limit.

import type { IncomingMessage } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';
import type { BodyLease } from './body-budget.ts';
import { LimitReached } from './limit-reached.ts';

/** Of a body that comes in more than one piece, as soon as its second piece is there. */
const capacityBytesMin = 65_536;

/** A body may come in as many pieces, and in one more for as many bytes: each takes time, however small it is. */
const freePieces = 1024;
const pieceBytesMin = 64;

/**
 * @param lease grows with what has come; null: nobody counts it
 * @returns null if the client went away before its body was complete
 * @throws RequestError 413 if the body exceeds `bytesMax`, 503 if the lease can't grow; what is left of it stays
 * unread. 400 if it comes in too many pieces; then the connection is closed.
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
 * The pieces of a body, side by side in one buffer: however small they are, they take no more memory than twice their
 * bytes. What was announced has a buffer of that size at once, whose pages take no memory before bytes are in them.
 */
class GrowingBody {
  readonly #announced: number;
  readonly #bytesMax: number;
  readonly #lease: BodyLease | null;
  /** The first piece itself as long as there is no other. */
  #buffer: Buffer = Buffer.alloc(0);
  #bytes = 0;

  /** @param announced 0: nothing was @param bytesMax it never gets more */
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
    this.#buffer = Buffer.alloc(0);
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

/** What `Content-Length` says; 0 if it says nothing. */
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
  const message = `the body comes in pieces of fewer than ${pieceBytesMin} bytes`;
  return new LimitReached('bodyPiecesMax', 400, 'body_in_pieces', message);
}
