// Joins a gateway to its replicas, if it is told of a NATS server.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { GatewayConfig } from '../config/config.ts';
import { isLoopback } from '../config/listen-address.ts';
import type { FeedCommons } from '../feeds/feed-commons.ts';
import { NatsLink } from './nats-link.ts';
import { Peers, type PeersOptions } from './peers.ts';

export interface JoinOptions extends Omit<PeersOptions, 'config' | 'link' | 'replica' | 'version'> {
  readonly config: GatewayConfig;
  readonly feedCommons: FeedCommons;
}

/** Nothing is sent before `open`. @returns null: this gateway is the only one, and pays nothing for others */
export function joinReplicas({ config, feedCommons, ...options }: JoinOptions): Peers | null {
  if (config.nats.length === 0) return null;
  const { cluster, workers, nats } = config;
  const loopback = workers.filter(({ url }) => isLoopback(hostOf(url))).map(({ url }) => url);
  if (loopback.length > 0 && !nats.every((server) => isLoopback(hostOf(server)))) {
    options.log.warn(
      { workers: loopback },
      'replicas know workers by their addresses: on another machine these name other engines, so give all the same, real ones',
    );
  }
  // Never the same again, so that a replica that starts anew is not taken for its predecessor.
  const replica = randomBytes(8).toString('hex');
  const link = new NatsLink({ access: config, cluster, replica, log: options.log });
  const peers = new Peers({ ...options, config, link, replica, version: version() });
  feedCommons.copies = (worker, seqMin, signal) => peers.copyOf(worker, seqMin, signal);
  return peers;
}

/** The address of a listener as other machines can know it. */
export function shownAddress(url: string): string {
  return url.replace(/\/\/(0\.0\.0\.0|\[::\])(?=:|$)/, `//${hostname()}`);
}

/** @param address with or without a scheme */
function hostOf(address: string): string {
  const { hostname: host } = new URL(address.includes('://') ? address : `nats://${address}`);
  return host.replace(/^\[|\]$/g, '');
}

function version(): string {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
