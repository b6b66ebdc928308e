// An entry of `pools`: the settings that a pool of engines has for itself.

import { isPoolName, poolNameRule } from './pool-name.ts';
import { poolContinueSetting, poolSettings, poolTlsSettings } from './pool-settings.ts';
import { type Read, type SettingType, valueFromText, wrong } from './setting-type.ts';

const ownSettings = { ...poolContinueSetting, ...poolSettings, ...poolTlsSettings };

type PoolSettingName = keyof typeof ownSettings;

export type PoolEntry = {
  readonly [Name in PoolSettingName]?: (typeof ownSettings)[Name] extends SettingType<infer T> ? T : never;
} & {
  readonly name: string;
  /** Concurrent requests of each worker that has no `runningRequestsMax` itself. */
  readonly runningRequestsMax?: number;
};

const runningMax = 100_000_000;
const settingNames = Object.keys(ownSettings) as PoolSettingName[];

/** What an entry may have, in the order of the table of settings. */
export const poolFields: readonly string[] = ['name', ...settingNames, 'runningRequestsMax'];

/** @param item `NAME[,OPTION=VALUE]...`, or an object with `name` and settings */
export function readPoolEntry(item: unknown): Read<PoolEntry> {
  if (typeof item === 'string') return readText(item);
  if (typeof item !== 'object' || item === null || Array.isArray(item)) {
    return wrong('must be NAME[,OPTION=VALUE]... or an object with a name');
  }
  const { name, ...given } = item as Record<string, unknown>;
  if (!isPoolName(name)) return wrong(`name ${poolNameRule}`, 'name');
  for (const [field, value] of Object.entries(given)) {
    const message = fieldFault(field, value);
    if (message !== null) return wrong(`${field} of ${name} ${message}`, field);
  }
  return { kind: 'right', value: item as PoolEntry };
}

function readText(text: string): Read<PoolEntry> {
  const [name = '', ...options] = text.split(',');
  const entry: Record<string, unknown> = { name: name.trim() };
  for (const option of options) {
    const split = option.indexOf('=');
    const key = option.slice(0, split === -1 ? undefined : split).trim();
    if (split === -1) return wrong(`${JSON.stringify(key)} of ${name} is not of the form key=value`);
    const field = key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const kind = Object.hasOwn(ownSettings, field) ? ownSettings[field as PoolSettingName].kind : 'number';
    entry[field] = valueFromText(kind, option.slice(split + 1).trim());
  }
  return readPoolEntry(entry);
}

function fieldFault(field: string, value: unknown): string | null {
  if (value === null || value === '') return 'is empty: give it a value, or leave it out';
  if (field === 'runningRequestsMax') {
    const isRight = Number.isInteger(value) && (value as number) >= 1 && (value as number) <= runningMax;
    return isRight ? null : `must be an integer from 1 to ${runningMax}`;
  }
  if (!Object.hasOwn(ownSettings, field)) return `is unknown; allowed are ${poolFields.join(', ')}`;
  const checked = ownSettings[field as PoolSettingName].schema.safeParse(value);
  return checked.success ? null : checked.error.issues[0]!.message;
}

/** The configuration as a pool has it. */
export type PoolConfig<Config> = Config & Pick<PoolEntry, 'runningRequestsMax'>;

/** @param pool its name; undefined: the pool has no settings of its own */
export function configOfPool<Config extends { readonly pools: readonly PoolEntry[] }>(
  config: Config,
  pool: string | undefined,
): PoolConfig<Config> {
  const entry = pool === undefined ? undefined : config.pools.find(({ name }) => name === pool);
  if (entry === undefined) return config;
  const { name: _, ...own } = entry;
  return { ...config, ...own };
}
