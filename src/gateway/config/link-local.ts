// Addresses that no worker may have unless a setting allows it: there clouds tell the machine's credentials.

import { BlockList, isIP } from 'node:net';
import type { EngineSpec } from './engine-spec.ts';

const refused = new BlockList();
refused.addSubnet('169.254.0.0', 16);
refused.addSubnet('fe80::', 10, 'ipv6');
refused.addAddress('fd00:ec2::254', 'ipv6');
refused.addAddress('100.100.100.200');
// The same IPv4 addresses within IPv6: compatible, NAT64, 6to4. Node sees through mapped ones by itself.
refused.addSubnet('::169.254.0.0', 112, 'ipv6');
refused.addSubnet('64:ff9b::169.254.0.0', 112, 'ipv6');
refused.addSubnet('2002:a9fe::', 32, 'ipv6');

const refusedNames: ReadonlySet<string> = new Set(['metadata', 'metadata.google.internal', 'instance-data']);
const hostOf = /^(?:bind:)?\w+:\/\/(?:\[([^\]]*)\]|([^/:]*))/;

/** @param host an address or a name, as it stands in a URL; names are looked up by nobody here */
export function isLinkLocal(host: string): boolean {
  const bare = host.toLowerCase().replace(/%.*$/, '').replace(/\.$/, '');
  const version = isIP(bare);
  return version === 0 ? refusedNames.has(bare) : refused.check(bare, version === 6 ? 'ipv6' : 'ipv4');
}

/** What is wrong about the addresses of a worker, or null. */
export function linkLocalFault({ url, kvEvents, kvReplay }: EngineSpec): string | null {
  const { hostname } = new URL(url);
  const hosts = [hostname.replace(/^\[|\]$/g, ''), ...[kvEvents, kvReplay].map(feedHost)];
  const found = hosts.find(isLinkLocal);
  if (found === undefined) return null;
  return `${url} has a link-local address (${found}), where clouds keep credentials; allowLinkLocal allows it`;
}

/** In the one form of a URL, which knows an address by all its spellings. */
function feedHost(endpoint: string | undefined): string {
  const match = hostOf.exec(endpoint ?? '');
  const host = match?.[1] !== undefined ? `[${match[1]}]` : (match?.[2] ?? '');
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '') : host;
}
