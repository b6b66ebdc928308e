// Decides which hosts may connect to the gateway's KV-event addresses, and logs those it refuses.

import type { Logger } from 'pino';
import { addressesIn } from '../address-range.ts';
import { LogRate } from './log-rate.ts';

export class PeerGate {
  #admits: ((address: string) => boolean) | null = null;
  readonly #log: Logger | null;
  readonly #rate = new LogRate(() => performance.now());

  /** @param ranges addresses and address ranges; empty: everyone may connect */
  constructor(ranges: readonly string[] = [], log: Logger | null = null) {
    this.#log = log;
    this.allow(ranges);
  }

  /** Replaces the ranges; open connections stay. */
  allow(ranges: readonly string[]): void {
    this.#admits = ranges.length === 0 ? null : addressesIn(ranges);
  }

  /** @param address undefined: a local peer on a Unix socket */
  admits(address: string | undefined): boolean {
    return this.#admits === null || address === undefined || this.#admits(address);
  }

  refused(endpoint: string, address: string | undefined): void {
    const more = this.#rate.admit();
    if (more === null) return;
    this.#log?.warn({ endpoint, address, ...(more > 0 && { more }) }, 'connection to KV-event address refused');
  }
}
