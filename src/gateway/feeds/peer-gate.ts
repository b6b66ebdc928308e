// Who may connect to the addresses that publishers of KV events connect to, and the log of those who may not.

import type { Logger } from 'pino';
import { addressesIn } from '../address-range.ts';
import { LogRate } from './log-rate.ts';

export class PeerGate {
  #admits: ((address: string) => boolean) | null = null;
  readonly #log: Logger | null;
  readonly #rate = new LogRate(() => performance.now());

  /** @param ranges addresses and ranges of them; none: everyone may connect */
  constructor(ranges: readonly string[] = [], log: Logger | null = null) {
    this.#log = log;
    this.allow(ranges);
  }

  /** From now on; connections that there are stay. */
  allow(ranges: readonly string[]): void {
    this.#admits = ranges.length === 0 ? null : addressesIn(ranges);
  }

  /** @param address undefined: of this machine, by a socket in the file system */
  admits(address: string | undefined): boolean {
    return this.#admits === null || address === undefined || this.#admits(address);
  }

  refused(endpoint: string, address: string | undefined): void {
    const more = this.#rate.admit();
    if (more === null) return;
    this.#log?.warn({ endpoint, address, ...(more > 0 && { more }) }, 'connection to an address of KV events refused');
  }
}
