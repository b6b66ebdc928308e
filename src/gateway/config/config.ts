// What can be set about a gateway: names, defaults, bounds; checked once, before anything starts.

import { z } from 'zod';
import { type PolicyName, policyNames } from '../../core/index.ts';
import { isAddressRange } from './address-range.ts';
import { type ApiKey, readApiKey } from './api-keys.ts';
import { blockSizeMax, isAdminPort, isBlockSize, isBodiesBytes, largestBodiesMin } from './auto-settings.ts';
import { type EngineSpec, readEngineSpec } from './engine-spec.ts';
import { linkLocalFault } from './link-local.ts';
import { hashSecret, isSecretHash, secretForm } from './secret-hash.ts';
import { file, flag, integer, listOf, nonNegative, oneOf, originList, type Read, text } from './setting-schemas.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface GatewayConfig {
  /** Engines behind the gateway; they need not be up yet. */
  readonly workers: readonly EngineSpec[];
  /** A YAML list of further engines. */
  readonly workersFile: string | null;
  /** Between two look-ups of the names that stand for several engines. */
  readonly dnsIntervalMs: number;
  /** Workers may have link-local addresses, at which clouds tell credentials. */
  readonly allowLinkLocal: boolean;
  /** How long a worker that is removed may take to end its answers. */
  readonly workerDrainMsMax: number;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly policy: PolicyName;
  /** Of the `kv` policy: what a token of prefill costs against a token of occupied cache. */
  readonly overlapWeight: number;
  /** Of the `kv` policy: 0 takes the lowest cost, more spreads. */
  readonly temperature: number;
  readonly kvForm: '1895' | '1731';
  readonly seed: number;
  readonly inFlightCredit: boolean;
  readonly bookAt: 'choice' | 'first-token';
  /** Hold requests while every worker that may take them is full. */
  readonly queue: boolean;
  /** Requests that wait in a pool at a time. */
  readonly queuedRequestsMax: number;
  /** How long one waits at most. */
  readonly queueWaitMsMax: number;
  /** What the worker that a session was last placed on is cheaper by; 0: nothing. */
  readonly sessionCreditTokens: number;
  /** `engine`: the engines are asked. `none`, `builtin`, or the path of a Hugging Face `tokenizer.json`. */
  readonly tokenizer: string;
  /** How long a prompt waits for its token ids where engines are asked; then it is routed by its bytes. */
  readonly tokenizeMsMax: number;
  /** Accept engines whose tokenizer was seen to differ. */
  readonly trustTokenizer: boolean;
  /** `auto`: as the engine says. */
  readonly blockSize: number | 'auto';
  /** KV blocks of a worker that does not say how many it has. */
  readonly defaultCapacityBlocks: number;
  /** Listen beyond this machine although anyone may use the gateway. */
  readonly allowOpen: boolean;
  /** Empty: nobody needs a key. */
  readonly apiKeys: readonly ApiKey[];
  /** A YAML list of further keys. */
  readonly apiKeysFile: string | null;
  /** Origins whose pages may use the routes of clients, such as `https://chat.example.org`; `*`: all. */
  readonly corsOrigins: readonly string[];
  /** What the listener of operators is bound to. */
  readonly adminHost: string;
  /** `auto`: one above `port`, or any free one if that is 0. `none`: operators come to the clients' port, with a key. */
  readonly adminPort: number | 'auto' | 'none';
  /** Hash of the key for operators; null: they need none at their own listener, and only this machine gets in there. */
  readonly adminKey: string | null;
  /** Hash of the key that opens what operators can look at, but nothing that changes anything; null: there is none. */
  readonly viewKey: string | null;
  /** Certificate chain and private key, PEM; null: clients connect without TLS. */
  readonly tlsCertFile: string | null;
  readonly tlsKeyFile: string | null;
  /** Authorities that certificates of https workers may come from, PEM; null: those that Node trusts. */
  readonly workerCaFile: string | null;
  /** Ask engines for the usage of streams whose client does not, and keep it from the client. */
  readonly injectUsage: boolean;
  readonly decisionsMax: number;
  /** A file that takes what the lab replays; null: nothing is recorded. */
  readonly record: string | null;
  /** Of lines that wait for the disk. */
  readonly recordBufferBytesMax: number;
  readonly bodyBytesMax: number;
  /** Of all bodies at a time. `auto`: by the memory that the process may use. */
  readonly bodiesBytesMax: number | 'auto';
  readonly headerBytesMax: number;
  readonly connectionsMax: number;
  /** Of connections of one address that have brought no request that was let in. */
  readonly unprovenPerAddressMax: number;
  /** Addresses, or ranges of them, whose connections have nothing to prove. */
  readonly trustedProxies: readonly string[];
  /** Addresses, or ranges of them, that may connect to `bind:` addresses of KV events; empty: all. */
  readonly kvPublishers: readonly string[];
  /** Time for a client to send its whole request. */
  readonly requestMsMax: number;
  /** From the arrival of a request to the end of its answer. */
  readonly totalMsMax: number;
  /** How long a stream is held back for its first token; then comments keep it alive. */
  readonly holdMsMax: number;
  /** Between two pieces of an answer that has begun. */
  readonly streamIdleMsMax: number;
  /** Requests of one key, or of all clients where no keys are set, at a time; 0: no limit. */
  readonly inFlightPerKeyMax: number;
  /** Likewise, 0: no limit. */
  readonly requestsPerMinutePerKeyMax: number;
  /** Between two looks at an engine that is not ready. */
  readonly probeIntervalMs: number;
  /** Send each worker two small requests that prove its tokens, its cache and its events. */
  readonly canary: boolean;
  /** Between two of them at an idle worker. */
  readonly canaryIntervalMs: number;
  /** How long the gateway goes on taking requests, not ready any more, once it is told to stop. */
  readonly shutdownNoticeMs: number;
  /** How long running answers may take to end afterwards. */
  readonly shutdownGraceMs: number;
  readonly logLevel: LogLevel;
  /** One line a request at level `info` instead of `debug`. */
  readonly logRequests: boolean;
  /** Of the command `serve`: made-up requests before it listens. */
  readonly rehearse: boolean;
}

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

export const workersMax = 4096;
export const apiKeysMax = 1000;
const trustedProxiesMax = 256;
const kvPublishersMax = 4096;

const workerList = listOf((item): Read<EngineSpec> => {
  const result = readEngineSpec(item);
  return result.kind === 'wrong' ? result : { kind: 'right', value: result.spec };
}, workersMax);

const keyList = listOf((item): Read<ApiKey> => {
  const result = readApiKey(item);
  return result.kind === 'wrong' ? result : { kind: 'right', value: result.key };
}, apiKeysMax);

const readAddressRange = (item: unknown): Read<string> =>
  typeof item === 'string' && isAddressRange(item)
    ? { kind: 'right', value: item }
    : { kind: 'wrong', message: 'must be an IP address, or a range as 10.0.0.0/8' };

const secretError = 'must have 16 to 256 visible characters, or be sha256:SALT:DIGEST';
const secret = z
  .string({ error: secretError })
  .refine((value) => isSecretHash(value) || secretForm.test(value), { error: secretError })
  .transform(hashSecret);

const schema = z.strictObject({
  workers: workerList,
  workersFile: file,
  dnsIntervalMs: integer(10, 3_600_000).default(5000),
  allowLinkLocal: flag.default(false),
  workerDrainMsMax: integer(0, 86_400_000).default(600_000),
  host: text.default('127.0.0.1'),
  port: integer(0, 65_535).default(8000),
  policy: oneOf(policyNames).default('kv'),
  overlapWeight: nonNegative(1e6).default(1),
  temperature: nonNegative(1e6).default(0),
  kvForm: oneOf(['1895', '1731']).default('1895'),
  seed: integer(0, 4_294_967_295).default(0),
  inFlightCredit: flag.default(true),
  bookAt: oneOf(['choice', 'first-token']).default('choice'),
  queue: flag.default(true),
  queuedRequestsMax: integer(0, 1_000_000).default(4096),
  queueWaitMsMax: integer(1, 3_600_000).default(120_000),
  sessionCreditTokens: nonNegative(1e6).default(256),
  tokenizer: text.default('engine'),
  tokenizeMsMax: integer(1, 60_000).default(2000),
  trustTokenizer: flag.default(false),
  blockSize: z
    .custom<number | 'auto'>(isBlockSize, { error: `must be auto or an integer from 1 to ${blockSizeMax}` })
    .default('auto'),
  defaultCapacityBlocks: integer(1, 100_000_000).default(8192),
  allowOpen: flag.default(false),
  apiKeys: keyList,
  apiKeysFile: file,
  corsOrigins: originList,
  adminHost: text.default('127.0.0.1'),
  adminPort: z
    .custom<number | 'auto' | 'none'>(isAdminPort, { error: 'must be auto, none or an integer from 0 to 65535' })
    .default('auto'),
  adminKey: secret.nullable().default(null),
  viewKey: secret.nullable().default(null),
  tlsCertFile: file,
  tlsKeyFile: file,
  workerCaFile: file,
  injectUsage: flag.default(false),
  decisionsMax: integer(0, 1_000_000).default(1024),
  record: file,
  recordBufferBytesMax: integer(65_536, 1_073_741_824).default(16_777_216),
  bodyBytesMax: integer(1024, 1_073_741_824).default(33_554_432),
  bodiesBytesMax: z
    .custom<number | 'auto'>(isBodiesBytes, {
      error: `must be auto or an integer from 2048 to ${Number.MAX_SAFE_INTEGER}`,
    })
    .default('auto'),
  headerBytesMax: integer(4096, 1_048_576).default(32_768),
  connectionsMax: integer(1, 1_000_000).default(8192),
  unprovenPerAddressMax: integer(1, 1_000_000).default(4096),
  trustedProxies: listOf(readAddressRange, trustedProxiesMax),
  kvPublishers: listOf(readAddressRange, kvPublishersMax),
  requestMsMax: integer(100, 86_400_000).default(300_000),
  totalMsMax: integer(100, 86_400_000).default(3_600_000),
  holdMsMax: integer(0, 3_600_000).default(15_000),
  streamIdleMsMax: integer(100, 86_400_000).default(300_000),
  inFlightPerKeyMax: integer(0, 1_000_000_000).default(0),
  requestsPerMinutePerKeyMax: integer(0, 1_000_000_000).default(0),
  probeIntervalMs: integer(10, 3_600_000).default(1000),
  canary: flag.default(true),
  canaryIntervalMs: integer(1000, 86_400_000).default(600_000),
  shutdownNoticeMs: integer(0, 600_000).default(0),
  shutdownGraceMs: integer(0, 3_600_000).default(10_000),
  logLevel: oneOf(logLevels).default('info'),
  logRequests: flag.default(false),
  rehearse: flag.default(true),
});

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
  return readList('workersFile', workerList, value);
}

/** @throws ConfigError likewise */
export function readKeyList(value: unknown): readonly ApiKey[] {
  return readList('apiKeysFile', keyList, value);
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
