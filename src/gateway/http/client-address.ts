// Groups connections by client.

import { isIP } from 'node:net';
import { plainAddress } from '../address-range.ts';

/**
 * The client's IPv4 address, or the /64 prefix of its IPv6 address: whoever has one address of a /64 has all of them.
 */
export function clientOf(remoteAddress: string): string {
  const address = plainAddress(remoteAddress);
  return isIP(address) === 6 ? `${firstHextets(address, 4).join(':')}::/64` : address;
}

function firstHextets(address: string, count: number): string[] {
  const [head = '', tail] = address.split('::');
  const before = head === '' ? [] : head.split(':');
  // `::` stands for all the missing zeros.
  const after = (tail ?? '').split(':').filter(Boolean);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after];
  return all.slice(0, count).map((hextet) => Number.parseInt(hextet, 16).toString(16));
}
