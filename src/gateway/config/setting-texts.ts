// Settings as text: names of flags and variables, parsing of values, values with their secrets masked.

import type { GatewayConfig } from './config.ts';
import { valueFromText } from './setting-type.ts';
import { type SettingName, settingNames, settingOf } from './settings.ts';

/** Default value of a setting. */
export function defaultOf(name: SettingName): unknown {
  return settingOf(name).initial;
}

/** The flag, such as `--body-bytes-max`; a switch that is on by default has a `--no-` flag. Null: no flag. */
export function flagName(setting: SettingName): string | null {
  const { kind } = settingOf(setting);
  if (kind === 'secret' || kind === 'secret-list') return null;
  if (setting === 'workers') return '--worker';
  return `--${defaultOf(setting) === true ? 'no-' : ''}${kebab(setting)}`;
}

export function environmentName(setting: SettingName): string {
  const name = setting === 'workers' ? 'worker' : setting;
  return `KVOYANT_${kebab(name).replaceAll('-', '_').toUpperCase()}`;
}

/** Parses the text of a flag or variable. Invalid text is returned as it is, for the configuration check to refuse. */
export function settingFromText(setting: SettingName, text: string): unknown {
  return valueFromText(settingOf(setting).kind, text);
}

/** The configuration with secrets masked. */
export function shownConfig(config: GatewayConfig): object {
  return Object.fromEntries(settingNames.map((name) => [name, shownValue(name, config)]));
}

export const masked = '(secret)';

function shownValue(name: SettingName, config: GatewayConfig): unknown {
  switch (name) {
    case 'workers':
      return config.workers.map((worker) => ({ ...worker, ...(worker.apiKey !== undefined && { apiKey: masked }) }));
    case 'apiKeys':
      return config.apiKeys.map(({ name: keyName, hash, ...rest }) => ({
        name: keyName,
        ...(hash !== null && { key: masked }),
        ...rest,
      }));
    default:
      return settingOf(name).kind === 'secret' && config[name] !== null ? masked : config[name];
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
