// The configuration of a gateway: every setting checked by itself and beside the others, once, before anything starts.

import { z } from 'zod';
import type { ApiKey } from './api-keys.ts';
import type { EngineSpec } from './engine-spec.ts';
import { linkLocalFault } from './link-local.ts';
import { engines, keys, type SettingType } from './setting-type.ts';
import { type SettingName, settingNames, settingOf, type settings } from './settings.ts';

/** The value of every setting. */
export type GatewayConfig = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends SettingType<infer T> ? T : never;
};

/** As given by a caller: everything but the workers has a default. Workers and keys may be written as on the command line. */
export type GatewayOptions = Partial<Omit<GatewayConfig, 'workers' | 'apiKeys'>> & {
  readonly workers?: readonly (string | EngineSpec)[];
  readonly apiKeys?: readonly (
    | string
    | { readonly name: string; readonly key: string; readonly [more: string]: unknown }
  )[];
};

/** What is wrong about a setting. `path` leads from the setting to the part that is, in a list or an object. */
export interface ConfigFault {
  readonly setting: string;
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Settings that can't be used; `setting` and `message` are those of the first fault. */
export class ConfigError extends Error {
  readonly setting: string;
  readonly faults: readonly ConfigFault[];

  constructor(setting: string, message: string, faults: readonly ConfigFault[] = [{ setting, path: [], message }]) {
    super(message);
    this.name = 'ConfigError';
    this.setting = setting;
    this.faults = faults;
  }
}

/**
 * The largest body, in the budget of all: it is held as it came and as it was read, which takes as much again if it is
 * ASCII, and one request may have two thirds.
 */
export const largestBodiesMin = 4;

const schema = z.strictObject(
  Object.fromEntries(settingNames.map((name) => [name, settingOf(name).schema.default(settingOf(name).initial)])),
) as unknown as z.ZodType<GatewayConfig>;

/** @throws ConfigError with all that is wrong */
export function resolveConfig(options: GatewayOptions): GatewayConfig {
  const checked = schema.safeParse(options);
  if (!checked.success) throw configError(checked.error.issues.flatMap(faultsOf));
  const config = checked.data;
  const faults = [
    ...repeated(config.workers.map(({ url }) => url)).map(([index, url]) =>
      fault('workers', [index], `names ${url} twice`),
    ),
    ...repeated(config.apiKeys.map(({ name }) => name)).map(([index, name]) =>
      fault('apiKeys', [index], `names ${name} twice`),
    ),
  ];
  for (const [index, spec] of config.workers.entries()) {
    const message = config.allowLinkLocal ? null : linkLocalFault(spec);
    if (message !== null) faults.push(fault('workers', [index], message));
  }
  faults.push(...sharedTopics(config.workers));
  if (config.workers.length === 0 && config.workersFile === null && config.adminKey === null) {
    faults.push(
      fault(
        'workers',
        [],
        'names no worker; at least one is needed, or a workersFile, or an adminKey to add some later',
      ),
    );
  }
  if ((config.tlsCertFile === null) !== (config.tlsKeyFile === null)) {
    const missing = config.tlsCertFile === null ? 'tlsCertFile' : 'tlsKeyFile';
    faults.push(fault(missing, [], 'is missing: TLS needs both a certificate and its key'));
  }
  if (!isLoopback(config.host) && !config.allowOpen && config.apiKeys.length === 0 && config.apiKeysFile === null) {
    faults.push(
      fault('host', [], `${config.host} is open to other machines: set apiKeys, or allowOpen if anyone may come in`),
    );
  }
  const bodiesBytesMin = largestBodiesMin * config.bodyBytesMax;
  if (config.bodiesBytesMax !== 'auto' && config.bodiesBytesMax < bodiesBytesMin) {
    const message = `must be at least ${bodiesBytesMin}, ${largestBodiesMin} times bodyBytesMax`;
    faults.push(fault('bodiesBytesMax', [], message));
  }
  if (!isLoopback(config.adminHost) && config.adminKey === null && config.viewKey === null) {
    const message = `${config.adminHost} is open to other machines: set an adminKey or a viewKey`;
    faults.push(fault('adminHost', [], message));
  }
  if (faults.length > 0) throw configError(faults);
  return config;
}

/** An address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(host);
}

/** @throws ConfigError with the setting's name in front, as one list in a file of its own */
export function readWorkerList(value: unknown): readonly EngineSpec[] {
  return readList('workersFile', engines.schema, value);
}

/** @throws ConfigError likewise */
export function readKeyList(value: unknown): readonly ApiKey[] {
  return readList('apiKeysFile', keys.schema, value);
}

function readList<T>(setting: string, list: z.ZodType<T>, value: unknown): T {
  const checked = list.safeParse(value);
  if (checked.success) return checked.data;
  throw configError(checked.error.issues.map(({ path, message }) => fault(setting, pathOf(path), message)));
}

function faultsOf(issue: z.core.$ZodIssue): ConfigFault[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => fault(key, [], 'is not a known setting'));
  }
  const [setting, ...path] = pathOf(issue.path);
  return [fault(String(setting ?? ''), path, issue.message)];
}

function pathOf(path: readonly PropertyKey[]): (string | number)[] {
  return path.map((step) => (typeof step === 'number' ? step : String(step)));
}

function fault(setting: string, path: ConfigFault['path'], message: string): ConfigFault {
  return { setting, path, message };
}

function configError(faults: readonly ConfigFault[]): ConfigError {
  const { setting, message } = faults[0]!;
  return new ConfigError(setting, message, faults);
}

/** Engines that connect to one address, with nothing in their topics to tell them apart. */
function sharedTopics(workers: readonly EngineSpec[]): ConfigFault[] {
  const incoming = workers.flatMap(({ url, kvEvents, kvTopic = '' }, index) =>
    kvEvents?.startsWith('bind:') ? [{ url, index, kvEvents, kvTopic, place: `${kvEvents} ${kvTopic}` }] : [],
  );
  return repeated(incoming.map(({ place }) => place)).map(([at]) => {
    const { url, index, kvEvents, kvTopic } = incoming[at]!;
    const topic = kvTopic === '' ? 'no kv-topic' : `the kv-topic ${kvTopic}`;
    return fault(
      'workers',
      [index],
      `${url} has ${topic} at ${kvEvents}, as another worker has: they can't be told apart`,
    );
  });
}

/** Each value that was there before, with its index. */
function repeated(values: readonly string[]): (readonly [number, string])[] {
  return values.flatMap((value, index) => (values.indexOf(value) < index ? [[index, value] as const] : []));
}
