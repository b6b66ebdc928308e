// The configuration of a gateway: each setting is checked alone and against the others, once, before anything starts.

import { z } from 'zod';
import type { ApiKey } from './api-keys.ts';
import type { ConfigFault } from './config-fault.ts';
import type { EngineSpec } from './engine-spec.ts';
import { linkLocalFault } from './link-local.ts';
import { isThisMachine, unixPathOf } from './listen-address.ts';
import type { ModelRouteOption } from './model-route.ts';
import type { PoolEntry } from './pool-entry.ts';
import { repeated, routeFaults } from './route-faults.ts';
import { engines, keys, type SettingType } from './setting-type.ts';
import { type SettingName, settingNames, settingOf, type settings } from './settings.ts';
import { type Tenant, tenantFault } from './tenants.ts';

/** The value of every setting. */
export type GatewayConfig = {
  readonly [Name in SettingName]: (typeof settings)[Name] extends SettingType<infer T> ? T : never;
};

/**
 * The caller's settings. Everything but the workers has a default. Workers, pools, models and keys may be texts as on
 * the command line.
 */
export type GatewayOptions = Partial<Omit<GatewayConfig, 'workers' | 'apiKeys' | 'tenants' | 'pools' | 'models'>> & {
  readonly workers?: readonly (string | EngineSpec)[];
  readonly pools?: readonly (string | PoolEntry)[];
  readonly models?: readonly (string | ModelRouteOption)[];
  readonly tenants?: readonly (string | (Pick<Tenant, 'name'> & Partial<Tenant>))[];
  readonly apiKeys?: readonly (
    | string
    | { readonly name: string; readonly key?: string; readonly [more: string]: unknown }
  )[];
};

/** Invalid settings; `setting` and `message` are those of the first fault. */
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
 * Lower bound of `bodiesBytesMax`, in largest bodies. A body is held as received and as parsed, which takes as much
 * again for ASCII, and one request may use two thirds of the budget.
 */
export const largestBodiesMin = 3;

const schema = z.strictObject(
  Object.fromEntries(settingNames.map((name) => [name, settingOf(name).schema.default(settingOf(name).initial)])),
) as unknown as z.ZodType<GatewayConfig>;

/** @throws ConfigError with every fault */
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
  faults.push(...certificateFaults(config), ...socketFaults(config));
  for (const [index, name] of repeated(config.tenants.map(({ name: one }) => one))) {
    faults.push(fault('tenants', [index], `names ${name} twice`));
  }
  for (const [index, key] of config.apiKeys.entries()) {
    const message = tenantFault(key, config.tenants);
    if (message !== null) faults.push(fault('apiKeys', [index], message));
  }
  for (const [index, spec] of config.workers.entries()) {
    const message = config.allowLinkLocal ? null : linkLocalFault(spec);
    if (message !== null) faults.push(fault('workers', [index], message));
  }
  faults.push(...sharedTopics(config.workers), ...routeFaults(config));
  if (config.workers.length === 0 && config.workersFile === null && config.adminKey === null) {
    faults.push(
      fault('workers', [], 'names no worker: add one, or set workersFile, or set adminKey to add workers later'),
    );
  }
  for (const pair of [
    ['tlsCertFile', 'tlsKeyFile'],
    ['workerCertFile', 'workerKeyFile'],
  ] as const) {
    const missing = pair.filter((name) => config[name] === null);
    if (missing.length === 1)
      faults.push(fault(missing[0]!, [], 'is missing: TLS needs both a certificate and its key'));
  }
  const isKeyed = config.apiKeys.length > 0 || config.apiKeysFile !== null || config.clientCertRequired;
  if (!isThisMachine(config.host) && !config.allowOpen && !isKeyed) {
    faults.push(
      fault('host', [], `${config.host} is open to other machines: set apiKeys, or allowOpen to admit everyone`),
    );
  }
  if (config.selection) faults.push(...selectionFaults(config));
  const bodiesBytesMin = largestBodiesMin * config.bodyBytesMax;
  if (config.bodiesBytesMax !== 'auto' && config.bodiesBytesMax < bodiesBytesMin) {
    const message = `must be at least ${bodiesBytesMin}, ${largestBodiesMin} times bodyBytesMax`;
    faults.push(fault('bodiesBytesMax', [], message));
  }
  const operatorNames = config.adminCertificates.length + config.viewCertificates.length;
  if (!isThisMachine(config.adminHost) && config.adminKey === null && config.viewKey === null && operatorNames === 0) {
    const message = `${config.adminHost} is open to other machines: set an adminKey or a viewKey`;
    faults.push(fault('adminHost', [], message));
  }
  faults.push(...natsFaults(config));
  if (config.threads > 1 && (config.tokenizer === 'engine' || config.tokenizer === 'none')) {
    const message = `more than 1 needs a tokenizer here, since each thread tokenizes: set tokenizer to builtin or a tokenizer.json, not ${config.tokenizer}`;
    faults.push(fault('threads', [], message));
  }
  if (config.threads > 1 && config.record !== null) {
    faults.push(fault('threads', [], 'more than 1 does not go with record: only one thread can write the recording'));
  }
  if (config.lateBinding && !config.queue) faults.push(fault('lateBinding', [], 'needs the queue: set queue as well'));
  if (faults.length > 0) throw configError(faults);
  return config;
}

/** Settings that make no sense at a unix socket. */
function socketFaults({ host, adminHost, adminPort, healthPort, clientCaFile }: GatewayConfig): ConfigFault[] {
  if (unixPathOf(host) === null) return [];
  const faults: ConfigFault[] = [];
  if (host === adminHost && adminPort !== 'none')
    faults.push(fault('adminHost', [], `is ${host}, where clients connect`));
  if (healthPort !== 'none') faults.push(fault('healthPort', [], `needs an address as host, not ${host}`));
  if (clientCaFile !== null) faults.push(fault('clientCaFile', [], `needs an address as host: ${host} has no TLS`));
  return faults;
}

function certificateFaults(config: GatewayConfig): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const { apiKeys, clientCaFile } = config;
  if (clientCaFile !== null && config.tlsCertFile === null) {
    faults.push(fault('clientCaFile', [], 'needs TLS: set tlsCertFile and tlsKeyFile as well'));
  }
  if (config.clientCertRequired && clientCaFile === null) {
    faults.push(fault('clientCertRequired', [], 'needs clientCaFile: set it as well'));
  }
  for (const name of ['adminCertificates', 'viewCertificates'] as const) {
    if (config[name].length === 0) continue;
    if (clientCaFile === null) faults.push(fault(name, [], 'has no use without clientCaFile: set it as well'));
    // Certificates are shown in the handshake of TLS, which this machine's own addresses do without.
    else if (config.adminPort === 'none' || isThisMachine(config.adminHost)) {
      faults.push(fault(name, [], "needs the operators' listener at an address with TLS: set adminHost"));
    }
  }
  for (const message of certificateKeyFaults(apiKeys, clientCaFile)) faults.push(fault('apiKeys', [], message));
  return faults;
}

/** Faults of keys that certificates stand for. */
export function certificateKeyFaults(apiKeys: readonly ApiKey[], clientCaFile: string | null): string[] {
  const names = apiKeys.flatMap(({ certificates }) => certificates);
  const useless = clientCaFile === null && names.length > 0;
  return [
    ...(useless ? [`${names[0]} has no use without clientCaFile: set it as well`] : []),
    ...repeated(names).map(([, name]) => `names the certificate ${name} twice`),
  ];
}

/** Settings of NATS that contradict each other. */
function natsFaults(config: GatewayConfig): ConfigFault[] {
  const faults: ConfigFault[] = [];
  const needs = (name: SettingName, other: SettingName): void => {
    if (config[name] !== null && config[other] === null) faults.push(fault(name, [], `needs ${other}: set it as well`));
  };
  needs('natsUser', 'natsPassword');
  needs('natsPassword', 'natsUser');
  needs('natsCertFile', 'natsKeyFile');
  needs('natsKeyFile', 'natsCertFile');
  const ways = (['natsUser', 'natsToken', 'natsCredsFile', 'natsNkeyFile'] as const).filter(
    (name) => config[name] !== null,
  );
  if (ways.length > 1)
    faults.push(fault(ways[1]!, [], `is set as well as ${ways[0]}: one way to log in to NATS is enough`));
  const useless = config.nats.length > 0 ? [] : natsSettings.filter((name) => config[name] !== null);
  for (const name of useless) faults.push(fault(name, [], 'has no use without nats: set the address of a NATS server'));
  return faults;
}

const natsSettings: readonly SettingName[] = [
  'natsUser',
  'natsPassword',
  'natsToken',
  'natsCredsFile',
  'natsNkeyFile',
  'natsCaFile',
  'natsCertFile',
  'natsKeyFile',
];

/** @returns faults of a configuration with the selection service */
function selectionFaults(config: GatewayConfig): ConfigFault[] {
  const { host, adminKey, apiKeys, apiKeysFile, reservationMs, reservationMsMax, threads } = config;
  const faults: ConfigFault[] = [];
  const mayHaveKey = adminKey !== null || apiKeysFile !== null || apiKeys.some(({ selection }) => selection);
  if (!isThisMachine(host) && !mayHaveKey) {
    const message = `needs a key, since ${host} is open to other machines: set adminKey, or an API key with selection: true`;
    faults.push(fault('selection', [], message));
  }
  if (threads > 1) {
    faults.push(fault('threads', [], 'more than 1 does not go with selection: one process holds the reservations'));
  }
  if (reservationMs > reservationMsMax) {
    faults.push(fault('reservationMs', [], `must be at most reservationMsMax (${reservationMsMax})`));
  }
  return faults;
}

/** Reads the list in a file of workers. @throws ConfigError */
export function readWorkerList(value: unknown): readonly EngineSpec[] {
  return readList('workersFile', engines.schema, value);
}

/** Reads the list in a file of keys. @throws ConfigError */
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

/** Faults of engines that connect to one address with the same topic. */
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
      `${url} has ${topic} at ${kvEvents}, like another worker: their events can't be told apart`,
    );
  });
}
