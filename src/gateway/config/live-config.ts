// The configuration as it is now: a reload changes what can change while the gateway runs, and says what can't.

import type { GatewayConfig } from './config.ts';
import { type SettingName, settingNames, settings } from './settings.ts';

/** What came of a reload, in names of settings. */
export interface ConfigChanges {
  readonly changed: readonly SettingName[];
  /** Set anew, but only a restart brings it about: the gateway goes on with the value that it had. */
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

/** Another certificate is taken up at once; whether clients use TLS at all is settled when the gateway starts. */
function switchesTls(name: SettingName, before: GatewayConfig, next: GatewayConfig): boolean {
  if (name !== 'tlsCertFile' && name !== 'tlsKeyFile') return false;
  return (before[name] === null) !== (next[name] === null);
}
