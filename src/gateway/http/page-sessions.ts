// Sessions of the page: a browser that has shown a key gets a cookie with a random name for it.

import { createHash, randomBytes } from 'node:crypto';

export type SessionRole = 'admin' | 'view';

export interface PageSessionEntry {
  readonly role: SessionRole;
  /** Unix time. */
  readonly expiresMs: number;
}

/** Sessions at a time; the oldest gives way. Only those who have a key can open one. */
export const pageSessionsMax = 256;
/** A working day; then the key is asked for again. */
export const sessionMs: number = 12 * 3_600_000;
const tokenBytes = 32;
/** `Cookie` headers are scanned up to here. */
const cookieLengthMax = 8192;

export class PageSessions {
  /** By the hash of the token, oldest first: who reads the memory learns no cookie. */
  readonly #sessions = new Map<string, PageSessionEntry>();
  readonly #nowMs: () => number;

  /** @param nowMs Unix time */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** @returns the token, for the cookie */
  open(role: SessionRole): string {
    const token = randomBytes(tokenBytes).toString('base64url');
    if (this.#sessions.size >= pageSessionsMax) {
      for (const oldest of this.#sessions.keys()) {
        this.#sessions.delete(oldest);
        break;
      }
    }
    this.#sessions.set(digest(token), { role, expiresMs: this.#nowMs() + sessionMs });
    return token;
  }

  /** Null: there is no such session, or it has expired. */
  find(token: string): PageSessionEntry | null {
    const name = digest(token);
    const session = this.#sessions.get(name);
    if (session === undefined) return null;
    if (session.expiresMs > this.#nowMs()) return session;
    this.#sessions.delete(name);
    return null;
  }

  end(token: string): void {
    this.#sessions.delete(digest(token));
  }

  /** Ends all: the keys have changed. */
  clear(): void {
    this.#sessions.clear();
  }
}

/** Cookies know no ports: gateways of one machine must not end each other's sessions. */
export function cookieName(localPort: number): string {
  return `kvoyant-page-${localPort}`;
}

/** The value of a cookie in a `Cookie` header; null: it is not there. */
export function readCookie(header: string | undefined, name: string): string | null {
  if (header === undefined || header.length > cookieLengthMax) return null;
  for (const part of header.split(';')) {
    const split = part.indexOf('=');
    if (split > 0 && part.slice(0, split).trim() === name) return part.slice(split + 1).trim();
  }
  return null;
}

/** @param token null: removes the cookie @param secure over TLS */
export function sessionCookie(name: string, token: string | null, secure: boolean): string {
  const age = token === null ? 0 : Math.floor(sessionMs / 1000);
  return `${name}=${token ?? ''}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`;
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}
