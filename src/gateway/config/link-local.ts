// Refuses link-local addresses for workers unless a setting allows them: clouds serve credentials there.

import { BlockList, isIP } from 'node:net';
import type { EngineSpec } from './engine-spec.ts';

const refused = new BlockList();
refused.addSubnet('169.254.0.0', 16);
refused.addSubnet('fe80::', 10, 'ipv6');
refused.addAddress('fd00:ec2::254', 'ipv6');
refused.addAddress('100.100.100.200');
// The same IPv4 addresses inside IPv6: compatible, NAT64, 6to4. Node resolves mapped ones itself.
refused.addSubnet('::169.254.0.0', 112, 'ipv6');
refused.addSubnet('64:ff9b::169.254.0.0', 112, 'ipv6');
refused.addSubnet('2002:a9fe::', 32, 'ipv6');

const refusedNames: ReadonlySet<string> = new Set(['metadata', 'metadata.google.internal', 'instance-data']);
const hostOf = /^(?:bind:)?\w+:\/\/(?:\[([^\]]*)\]|([^/:]*))/;

/** @param host an address or a name, as in a URL; names are not looked up */
export function isLinkLocal(host: string): boolean {
  const bare = host.toLowerCase().replace(/%.*$/, '').replace(/\.$/, '');
  const version = isIP(bare);
  return version === 0 ? refusedNames.has(bare) : refused.check(bare, version === 6 ? 'ipv6' : 'ipv4');
}

/** The fault in a worker's addresses, or null. */
export function linkLocalFault({ url, kvEvents, kvReplay }: EngineSpec): string | null {
  const { hostname } = new URL(url);
  const hosts = [hostname.replace(/^\[|\]$/g, ''), ...[kvEvents, kvReplay].map(feedHost)];
  const found = hosts.find(isLinkLocal);
  if (found === undefined) return null;
  return `${url} has a link-local address (${found}), where clouds keep credentials; allowLinkLocal allows it`;
}

/** The host as the URL parser normalizes it, so that all spellings of an address are equal. */
function feedHost(endpoint: string | undefined): string {
  const match = hostOf.exec(endpoint ?? '');
  const host = match?.[1] !== undefined ? `[${match[1]}]` : (match?.[2] ?? '');
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '') : host;
}
