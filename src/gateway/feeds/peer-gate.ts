// Who may connect to the addresses that publishers of KV events connect to, and the log of those who may not.

import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { LogRate } from './log-rate.ts';

/** As an operator writes it: an address, or a network as ADDRESS/BITS. @returns null: it is neither */
export function readPeerNetwork(text: string): { readonly address: string; readonly bits: number } | null {
  const [address = '', bitsText, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return null;
  const bitsMax = version === 6 ? 128 : 32;
  if (bitsText === undefined) return { address, bits: bitsMax };
  const bits = Number(bitsText);
  return /^\d{1,3}$/.test(bitsText) && bits <= bitsMax ? { address, bits } : null;
}

export class PeerGate {
  readonly #allowed: BlockList | null;
  readonly #log: Logger | null;
  readonly #rate = new LogRate(() => performance.now());

  /** @param peers addresses and networks; none: everyone may connect */
  constructor(peers: readonly string[] = [], log: Logger | null = null) {
    this.#log = log;
    this.#allowed = peers.length === 0 ? null : new BlockList();
    for (const peer of peers) {
      const network = readPeerNetwork(peer);
      if (network === null) continue;
      this.#allowed!.addSubnet(network.address, network.bits, isIPv6(network.address) ? 'ipv6' : 'ipv4');
    }
  }

  /** @param address undefined: of this machine, by a socket in the file system */
  admits(address: string | undefined): boolean {
    if (this.#allowed === null || address === undefined) return true;
    const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
    return this.#allowed.check(plain, isIPv6(plain) ? 'ipv6' : 'ipv4');
  }

  refused(endpoint: string, address: string | undefined): void {
    const more = this.#rate.admit();
    if (more === null) return;
    this.#log?.warn({ endpoint, address, ...(more > 0 && { more }) }, 'connection to an address of KV events refused');
  }
}
