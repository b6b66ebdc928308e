// The certificates of clients: which names a connection has proved, under the authorities in force now.

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { certificateNames } from '../config/certificate-names.ts';

/** From a thread to the gateway, with the one name that counts. Clients can't send it. */
export const provenHeader = 'x-kvoyant-proven-name';

export class ClientCertificates {
  readonly #nowMs: () => number;
  #authorities: string | null = null;
  #changedMs = -Infinity;
  #ofSocket = new WeakMap<Socket, readonly string[]>();
  readonly #ofRequest = new WeakMap<IncomingMessage, readonly string[]>();

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** With other authorities, what connections have proved no longer counts. @param authorities in PEM; null: none */
  trust(authorities: string | null): void {
    if (authorities === this.#authorities) return;
    this.#authorities = authorities;
    this.#changedMs = this.#nowMs();
    this.#ofSocket = new WeakMap();
  }

  /**
   * To be called after the handshake.
   * @param acceptedMs when the connection was accepted: its handshake may have begun under other authorities
   */
  note(socket: TLSSocket, acceptedMs: number | null): void {
    if (!socket.authorized || acceptedMs === null || acceptedMs <= this.#changedMs) return;
    const certificate = socket.getPeerX509Certificate();
    if (certificate !== undefined) this.#ofSocket.set(socket, certificateNames(certificate));
  }

  /** For a request that came through a thread, which has the connection. */
  vouch(request: IncomingMessage, names: readonly string[]): void {
    this.#ofRequest.set(request, names);
  }

  /** Names of the certificate; null: the client has shown none that counts. */
  of(request: IncomingMessage): readonly string[] | null {
    return this.#ofRequest.get(request) ?? this.#ofSocket.get(request.socket) ?? null;
  }
}

/** @param name that counts; `''`: none of the certificate's does */
export function provenValue(name: string): string {
  return Buffer.from(name).toString('base64url');
}

/** Takes the header out of a request of a thread. @returns null if it has none */
export function takeProven({ headers, rawHeaders }: IncomingMessage): readonly string[] | null {
  const value = headers[provenHeader];
  if (value === undefined) return null;
  delete headers[provenHeader];
  for (let i = rawHeaders.length - 2; i >= 0; i -= 2) {
    if (rawHeaders[i]!.toLowerCase() === provenHeader) rawHeaders.splice(i, 2);
  }
  const name = Buffer.from(String(value), 'base64url').toString('utf8');
  return name === '' ? [] : [name];
}
