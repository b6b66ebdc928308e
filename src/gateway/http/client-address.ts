// Which connections count as those of one client.

import { isIP } from 'node:net';
import { plainAddress } from '../address-range.ts';

/**
 * What connections of one client have in common: its IPv4 address, or the first 64 bits of its IPv6 address, since
 * whoever has one of those addresses has them all.
 */
export function clientOf(remoteAddress: string): string {
  const address = plainAddress(remoteAddress);
  return isIP(address) === 6 ? `${firstHextets(address, 4).join(':')}::/64` : address;
}

function firstHextets(address: string, count: number): string[] {
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  // What `::` stands for: at least as many zeros as are asked for, or none if it is missing.
  const after = (tail ?? '').split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after];
  return all.slice(0, count).map((hextet) => Number.parseInt(hextet, 16).toString(16));
}
