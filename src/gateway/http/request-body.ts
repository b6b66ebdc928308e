// Reads the body of a client's request, up to a limit.

import type { IncomingMessage } from 'node:http';
import { RequestError } from '../../wire/openai-error.ts';

/**
 * @returns null if the client went away before its body was complete
 * @throws RequestError 413 if the body exceeds `bytesMax`; what is left of it stays unread
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    if (announcedBytes(request) > bytesMax) {
      reject(bodyTooLarge(bytesMax));
      return;
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > bytesMax) {
        request.removeAllListeners('data').pause();
        reject(bodyTooLarge(bytesMax));
        return;
      }
      chunks.push(chunk);
    });
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, bytes)));
    request.on('error', () => resolve(null));
    request.on('close', () => resolve(null));
  });
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
