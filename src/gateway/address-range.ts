// IP addresses and ranges, as in settings.

import { BlockList, isIP } from 'node:net';

const mappedPrefix = /^::ffff:(?=\d+\.)/i;

/** Whether the text is an address, or a range such as `10.0.0.0/8`. */
export function isAddressRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}

/** A check whether an address is in one of the ranges. @param ranges each valid by `isAddressRange` */
export function addressesIn(ranges: readonly string[]): (remoteAddress: string) => boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits] = range.split('/');
    const family = familyOf(address);
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (remoteAddress) => {
    const address = plainAddress(remoteAddress);
    return isIP(address) !== 0 && list.check(address, familyOf(address));
  };
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** Strips the zone of a link-local address and turns an IPv4-mapped IPv6 address into IPv4. */
export function plainAddress(remoteAddress: string): string {
  return remoteAddress.replace(mappedPrefix, '').replace(/%.*$/, '');
}
