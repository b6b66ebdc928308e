// Where a listener listens: an IP address or a host name, or a unix socket written `unix:/PATH`.

import { addressesIn } from '../address-range.ts';

const unixPrefix = 'unix:';
/**
 * Bytes of a path. The system allows 107; the socket is made in a folder beside it first, whose name is 9 longer.
 */
export const socketPathBytesMax = 98;

const isLoopbackAddress = addressesIn(['127.0.0.0/8', '::1']);

/** Path of the unix socket; null: it is an address. */
export function unixPathOf(host: string): string | null {
  return host.startsWith(unixPrefix) ? host.slice(unixPrefix.length) : null;
}

/** Null: it can be listened on, as far as can be told. */
export function listenAddressFault(host: string): string | null {
  const path = unixPathOf(host);
  if (path === null) return /[\s/]/.test(host) ? 'must be an address, or unix:/PATH for a unix socket' : null;
  if (!path.startsWith('/') || path.endsWith('/') || path.includes('\0')) return 'must have a whole path: unix:/PATH';
  if (Buffer.byteLength(path) > socketPathBytesMax) return `must have a path of at most ${socketPathBytesMax} bytes`;
  return null;
}

/** Without the brackets that an IPv6 address has in a URL. */
export function plainHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(host);
}

/** Whether only this machine can reach the listener: at a loopback address or a unix socket. */
export function isThisMachine(host: string): boolean {
  return isLoopback(host) || unixPathOf(host) !== null;
}
