// The current configuration: a reload changes the settings that can change at run time and reports the others.

import type { GatewayConfig } from './config.ts';
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

  replace(next: GatewayConfig): ConfigChanges {
    const before = this.#config;
    const differing = settingNames.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(next[name]));
    const isLive = (name: SettingName): boolean => settings[name].reload === 'live' && !switchesTls(name, before, next);
    const changed = differing.filter(isLive);
    this.#config = { ...before, ...Object.fromEntries(changed.map((name) => [name, next[name]])) };
    return { changed, needRestart: differing.filter((name) => !isLive(name)) };
  }
}

/** New certificates take effect at once; whether clients use TLS, and are asked for theirs, is decided at the start. */
function switchesTls(name: SettingName, before: GatewayConfig, next: GatewayConfig): boolean {
  if (name !== 'tlsCertFile' && name !== 'tlsKeyFile' && name !== 'clientCaFile') return false;
  return (before[name] === null) !== (next[name] === null);
}
