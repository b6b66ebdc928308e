// Merges settings from file, environment and flags. Flags override variables, variables override the file.

import { ConfigError, type GatewayOptions, resolveConfig } from '../gateway/config/config.ts';
import type { ConfigFault } from '../gateway/config/config-fault.ts';
import { readReferencedFiles } from '../gateway/config/referenced-files.ts';
import { environmentName, flagName, settingFromText } from '../gateway/config/setting-texts.ts';
import { isSetting, type SettingName, settingNames, settingOf } from '../gateway/config/settings.ts';
import { YamlFile, YamlFileError } from '../gateway/config/yaml-file.ts';

export interface SettingSources {
  /** Path of a YAML file with settings by name. Null: no file. */
  readonly file: string | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Values given by flags, by setting name. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
}

/**
 * Checks everything that can be checked without starting.
 * @throws ConfigError whose faults name the source of each setting: flag, variable or line of the file
 */
export async function loadSettings(sources: SettingSources): Promise<GatewayOptions> {
  const { file, environment, flags } = sources;
  const yaml = file === null ? null : await readFileOf(file);
  const values: Record<string, unknown> = { ...(yaml?.value as Record<string, unknown> | null) };
  const places = new Map<string, string>();
  const blank = yaml === null ? [] : blankSettings(yaml);
  for (const name of settingNames) {
    const variable = environmentName(name);
    const text = environment[variable];
    if (text === '' && guards.has(name)) {
      blank.push({ setting: '', path: [], message: `${variable} is empty: give it a value, or unset it` });
    } else if (text !== undefined && (text !== '' || settingOf(name).kind === 'switch')) {
      values[name] = settingFromText(name, text);
      places.set(name, variable);
    }
    const value = flags[name];
    if (value !== undefined) {
      values[name] = value;
      places.set(name, flagName(name)!);
    }
  }
  if (blank.length > 0) throw new ConfigError('', blank[0]!.message, blank);
  const placed = ({ setting, path, message }: ConfigFault): ConfigFault => {
    const hint = isSetting(setting) ? '' : `; allowed are ${settingNames.join(', ')}`;
    const place = places.get(setting) ?? placeInFile(yaml, setting, path) ?? nameOf(setting);
    return { setting: '', path: [], message: `${place} ${message}${hint}` };
  };
  // The gateway checks the values.
  const options = values as GatewayOptions;
  try {
    await readReferencedFiles(resolveConfig(options));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const faults = error.faults.map(placed);
    throw new ConfigError('', faults[0]!.message, faults);
  }
  return options;
}

/** Settings that restrict access. An empty value is refused, because a truncated file must not open the gateway. */
const guards: ReadonlySet<string> = new Set<SettingName>([
  'apiKeys',
  'apiKeysFile',
  'adminKey',
  'viewKey',
  'tlsCertFile',
  'tlsKeyFile',
  'clientCaFile',
  'adminCertificates',
  'viewCertificates',
  'workerCaFile',
  'workerCertFile',
  'workerKeyFile',
  'kvPublishers',
]);

/** Settings in the file without a value, which would otherwise count as not set. */
function blankSettings(yaml: YamlFile): ConfigFault[] {
  const { value } = yaml;
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value)
    .filter(([name, given]) => given === null || (guards.has(name) && isEmptyList(given)))
    .map(([name]) => {
      const message = `${yaml.where([name])}: ${name} is empty: give it a value, or leave it out`;
      return { setting: '', path: [], message };
    });
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function placeInFile(yaml: YamlFile | null, setting: string, path: ConfigFault['path']): string | null {
  const value = yaml?.value ?? null;
  if (yaml === null || value === null || !Object.hasOwn(value, setting)) return null;
  return `${yaml.where([setting, ...path])}: ${setting}`;
}

/** Name of a setting that no source has set. */
function nameOf(setting: string): string {
  return isSetting(setting) ? (flagName(setting) ?? setting) : setting;
}

async function readFileOf(path: string): Promise<YamlFile> {
  try {
    const yaml = await YamlFile.read(path);
    if (yaml.value !== null && (typeof yaml.value !== 'object' || Array.isArray(yaml.value))) {
      throw new ConfigError('', `${yaml.where([])}: must be a map of settings, such as "port: 8000"`);
    }
    return yaml;
  } catch (error) {
    if (error instanceof YamlFileError) throw new ConfigError('', error.message);
    throw error;
  }
}
