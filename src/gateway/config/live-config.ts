// The current configuration: a reload changes the settings that can change at run time and reports the others.

import type { GatewayConfig } from './config.ts';
import type { PoolEntry } from './pool-entry.ts';
import { livePoolSettings } from './pool-settings.ts';
import { type SettingName, settingNames, settings } from './settings.ts';

/** Outcome of a reload, in names of settings. */
export interface ConfigChanges {
  readonly changed: readonly SettingName[];
  /** Settings that differ but need a restart; the gateway keeps their old values. */
  readonly needRestart: readonly SettingName[];
}

export class LiveConfig {
  #config: GatewayConfig;

  constructor(config: GatewayConfig) {
    this.#config = config;
  }

  get current(): GatewayConfig {
    return this.#config;
  }

  /** The configuration that `replace` would make current. */
  after(next: GatewayConfig): GatewayConfig {
    return this.#changed(next).config;
  }

  replace(next: GatewayConfig): ConfigChanges {
    const { config, changes } = this.#changed(next);
    this.#config = config;
    return changes;
  }

  #changed(next: GatewayConfig): { readonly config: GatewayConfig; readonly changes: ConfigChanges } {
    const before = this.#config;
    const differs = (name: SettingName, one: GatewayConfig, other: GatewayConfig): boolean =>
      JSON.stringify(one[name]) !== JSON.stringify(other[name]);
    const applied = { ...next, pools: keptPools(before.pools, next.pools) };
    const differing = settingNames.filter((name) => differs(name, before, applied));
    const isLive = (name: SettingName): boolean => settings[name].reload === 'live' && !switchesTls(name, before, next);
    const changed = differing.filter(isLive);
    const config = { ...before, ...Object.fromEntries(changed.map((name) => [name, applied[name]])) };
    const needRestart = differing.filter((name) => !isLive(name));
    if (differs('pools', applied, next)) needRestart.push('pools');
    return { config, changes: { changed, needRestart } };
  }
}

/** Pools come and go with a reload, but a pool keeps its settings, except for the live ones. */
function keptPools(before: readonly PoolEntry[], next: readonly PoolEntry[]): readonly PoolEntry[] {
  return next.map((entry) => {
    const kept = before.find(({ name }) => name === entry.name);
    if (kept === undefined) return entry;
    const applied: Record<string, unknown> = { ...kept };
    for (const name of Object.keys(livePoolSettings) as (keyof typeof livePoolSettings)[]) {
      if (entry[name] === undefined) delete applied[name];
      else applied[name] = entry[name];
    }
    // In the order of the file: what is equal must look equal.
    return inOrderOf(entry, applied);
  });
}

function inOrderOf(entry: PoolEntry, applied: Readonly<Record<string, unknown>>): PoolEntry {
  const ordered: Record<string, unknown> = {};
  for (const name of [...Object.keys(entry), ...Object.keys(applied)]) {
    if (Object.hasOwn(applied, name)) ordered[name] = applied[name];
  }
  return ordered as unknown as PoolEntry;
}

/** New certificates take effect at once; whether clients use TLS, and are asked for theirs, is decided at the start. */
function switchesTls(name: SettingName, before: GatewayConfig, next: GatewayConfig): boolean {
  if (name !== 'tlsCertFile' && name !== 'tlsKeyFile' && name !== 'clientCaFile') return false;
  return (before[name] === null) !== (next[name] === null);
}
