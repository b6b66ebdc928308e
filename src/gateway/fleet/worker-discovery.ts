// Polls host names that stand for several engines, and keeps one engine per address.

import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import type { EngineSpec } from '../config/engine-spec.ts';
import { linkLocalFault } from '../config/link-local.ts';
import type { Fleet } from './fleet.ts';
import { UnreachedLog } from './unreached-log.ts';

/** Resolves to all addresses of a name; rejects if there is none. */
export type Resolve = (hostName: string) => Promise<readonly string[]>;

/** Further addresses of a name are ignored. */
const addressesMax = 1024;
const sourcePrefix = 'dns:';

export const systemResolve: Resolve = async (hostName) => {
  const addresses = await lookup(hostName, { all: true });
  return addresses.map(({ address }) => address);
};

export class WorkerDiscovery {
  readonly #fleet: Fleet;
  readonly #resolve: Resolve;
  readonly #intervalMs: number;
  readonly #log: Logger;
  readonly #allowLinkLocal: boolean;
  #specs: readonly EngineSpec[] = [];
  readonly #unfound = new WeakMap<EngineSpec, UnreachedLog>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  /** One round at a time; a round overtaken by new names does not affect removed ones. */
  #round: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, resolve: Resolve, intervalMs: number, log: Logger, allowLinkLocal = false) {
    this.#fleet = fleet;
    this.#resolve = resolve;
    this.#intervalMs = intervalMs;
    this.#log = log;
    this.#allowLinkLocal = allowLinkLocal;
  }

  /** Replaces the names; the first lookup starts at once. */
  follow(specs: readonly EngineSpec[]): void {
    this.#specs = specs;
    const sources = new Set(specs.map(sourceOf));
    for (const source of this.#fleet.sources()) {
      if (source.startsWith(sourcePrefix) && !sources.has(source)) this.#fleet.forget(source);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#round = this.#round.then(() => this.#lookUpAll());
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
  }

  async #lookUpAll(): Promise<void> {
    if (this.#closed) return;
    await Promise.all(this.#specs.map((spec) => this.#follow(spec)));
    if (this.#closed || this.#specs.length === 0) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#round = this.#lookUpAll();
    }, this.#intervalMs);
  }

  /** Never rejects: an error with one name affects neither the others nor the next round. */
  async #follow(spec: EngineSpec): Promise<void> {
    try {
      await this.#lookUp(spec);
    } catch (error) {
      this.#log.error({ name: spec.url, err: error }, 'lookup of workers failed: internal error');
    }
  }

  #unfoundLog(spec: EngineSpec, name: string): UnreachedLog {
    const message = 'worker name not found; its engines stay';
    const log = this.#unfound.get(spec) ?? new UnreachedLog(this.#log.child({ name }), message);
    this.#unfound.set(spec, log);
    return log;
  }

  /** A name that can't be resolved keeps its engines, so a failing name server costs no capacity. */
  async #lookUp(spec: EngineSpec): Promise<void> {
    const { hostname } = new URL(spec.url);
    let addresses: readonly string[];
    try {
      addresses = await this.#resolve(hostname);
    } catch (error) {
      this.#unfoundLog(spec, hostname).missed((error as Error).message, performance.now());
      return;
    }
    this.#unfound.get(spec)?.reached();
    if (this.#closed || addresses.length === 0 || !this.#specs.includes(spec)) return;
    if (addresses.length > addressesMax) {
      this.#log.warn({ name: hostname, addresses: addresses.length, addressesMax }, 'name has too many addresses');
    }
    const engines = addresses.slice(0, addressesMax).map((address) => engineAt(spec, hostname, address));
    // A link-local address with a zone (fe80::1%eth0) can't be part of a URL.
    const isUsable = (engine: EngineSpec): boolean =>
      URL.canParse(engine.url) && (this.#allowLinkLocal || linkLocalFault(engine) === null);
    const usable = engines.filter(isUsable);
    if (usable.length < engines.length) {
      const leftOut = engines.filter((engine) => !isUsable(engine)).map(({ url }) => url);
      this.#log.warn({ name: hostname, leftOut }, 'name has unusable addresses');
    }
    this.#fleet.want(sourceOf(spec), usable);
  }
}

function sourceOf({ url }: EngineSpec): string {
  return sourcePrefix + url;
}

/** The engine at one address of the name; the name in a KV-event address is replaced, too. */
export function engineAt({ dns: _, ...spec }: EngineSpec, hostName: string, address: string): EngineSpec {
  const host = isIPv6(address) ? `[${address}]` : address;
  const moved = (url: string): string => url.replace(`//${hostName}`, `//${host}`);
  const { kvEvents, kvReplay, kvTopic } = spec;
  return {
    ...spec,
    url: moved(spec.url),
    ...(kvEvents !== undefined && { kvEvents: moved(kvEvents) }),
    ...(kvReplay !== undefined && { kvReplay: moved(kvReplay) }),
    ...(kvTopic !== undefined && { kvTopic: topicAt(kvTopic, hostName, address) }),
    ...(spec.url.startsWith('https:') && { serverName: spec.serverName ?? hostName }),
  };
}

/** Topics have the form `kv@HOST:PORT@MODEL`; the model may contain the host's name, too. */
function topicAt(topic: string, hostName: string, address: string): string {
  const parts = topic.split('@');
  const at = parts.findIndex((part) => part === hostName || part.startsWith(`${hostName}:`));
  return at === -1 ? topic : parts.with(at, address + parts[at]!.slice(hostName.length)).join('@');
}
