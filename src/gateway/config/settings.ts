// Every setting, one row each. From this table come the configuration's type and check, the flags, the environment
// variables, the help and the reference page.

import { poolContinueSetting, poolSettings, poolTlsSettings } from './pool-settings.ts';
import { modelRoutes, poolList } from './route-settings.ts';
import { fixed, live, type Setting } from './setting-row.ts';
import {
  addressRanges,
  browserOrigins,
  certificateNameList,
  engines,
  flag,
  integer,
  keys,
  listenAddress,
  natsServers,
  nullableText,
  oneOf,
  path,
  permissions,
  secret,
  sentSecret,
  subjectName,
  tenantList,
  wordOrInteger,
} from './setting-type.ts';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const workerOptions =
  'kv-events=[bind:]tcp://HOST:PORT, kv-replay=tcp://HOST:PORT, kv-topic=PREFIX, api-key=KEY, blocks=N, ' +
  'block-size=N, running-max=N, model=NAME, pool=NAME, server-name=NAME, ca-file=PATH, cert-file=PATH, key-file=PATH';

export const settings = {
  workers: live(
    engines,
    'spec',
    `an engine: [dns+]URL[,OPTION=VALUE]..., with the options ${workerOptions}; dns+ adds an engine for each address of the host name; repeatable, separated by blanks in the environment`,
  ),
  workersFile: live(path, 'path', 'YAML file with more engines'),
  pools: live(
    poolList,
    'spec',
    'a pool of engines with settings of its own: NAME[,OPTION=VALUE]..., where engines join it by their option pool; repeatable',
  ),
  models: live(
    modelRoutes,
    'route',
    'a name that clients may ask for: NAME=MODEL, or in a file also pools, split, fallback and shadow; repeatable',
  ),
  dnsIntervalMs: fixed(integer(10, 3_600_000, 5000), 'ms', 'time between two lookups of dns+ host names'),
  allowLinkLocal: fixed(flag(false), '', 'allow workers at link-local addresses, where clouds serve credentials'),
  workerDrainMsMax: live(
    integer(0, 86_400_000, 600_000),
    'ms',
    'time for a removed worker to finish its answers; then the remaining ones are cut',
  ),
  ...poolContinueSetting,
  ...poolSettings,
  host: fixed(
    listenAddress('127.0.0.1'),
    'address',
    'address to listen on: of this machine, 0.0.0.0 for all IPv4, :: for all of IPv6 and IPv4, or unix:/PATH',
  ),
  port: fixed(integer(0, 65_535, 8000), 'n', 'port to listen on; 0: any free one'),
  allowOpen: fixed(flag(false), '', 'allow other machines to connect although no API keys are set'),
  apiKeys: live(keys, '', 'API keys of clients, NAME:KEY each; KEY may be its hash'),
  apiKeysFile: live(path, 'path', 'YAML file with more API keys of clients'),
  tenants: live(
    tenantList,
    'spec',
    'a tenant that keys belong to: NAME[,OPTION=NUMBER]..., with the options weight, in-flight-max, requests-per-minute-max, tokens-per-minute-max; repeatable, separated by blanks in the environment',
  ),
  corsOrigins: live(
    browserOrigins,
    'origin',
    'origins of web pages that may use the routes of clients; repeatable; * for all',
  ),
  adminHost: fixed(
    listenAddress('127.0.0.1'),
    'address',
    "address of the operators' listener (metrics, workers, loads, decisions), or unix:/PATH",
  ),
  socketMode: fixed(permissions('660'), 'digits', 'permissions of unix sockets: who may write may connect'),
  adminPort: fixed(
    wordOrInteger(['auto', 'none'], 0, 65_535),
    'n',
    "port of the operators' listener: auto (the first above port that no worker here has; any if port is 0), none, or 0 to 65535",
  ),
  threads: fixed(
    integer(1, 64, 1),
    'n',
    'event loops that hold connections, read, tokenize and relay; 1: one does everything; more: each in a process of its own, beside the one that chooses and books',
  ),
  healthPort: fixed(
    wordOrInteger(['none'], 0, 65_535),
    'n',
    'port, on host, of a listener of its own for /health and /ready, which answers from a thread that no burst delays: none, or 0 to 65535 (0: any free one)',
  ),
  // Secrets are kept as hashes only.
  adminKey: live(secret, '', 'key of operators; without one, only this machine has access, at their listener'),
  viewKey: live(secret, '', 'key for read access to the routes of operators (GET, including metrics)'),
  tlsCertFile: live(path, 'path', 'certificate chain (PEM) shown to clients; with it they must use https'),
  tlsKeyFile: live(path, 'path', 'private key of that certificate (PEM)'),
  clientCaFile: live(
    path,
    'path',
    'certificate authorities (PEM) of clients: names in their certificates may then stand for API keys',
  ),
  clientCertRequired: fixed(flag(false), '', 'refuse clients without a certificate of these authorities'),
  adminCertificates: live(
    certificateNameList,
    'name',
    "name in a certificate of clientCaFile, such as cn:alice, that has the rights of the adminKey at the operators' listener; repeatable",
  ),
  viewCertificates: live(certificateNameList, 'name', 'the same for the rights of the viewKey; repeatable'),
  ...poolTlsSettings,
  bodyBytesMax: live(
    integer(1024, 1_073_741_824, 33_554_432),
    'n',
    'largest request body; a larger one is refused with 413',
  ),
  bodiesBytesMax: live(
    wordOrInteger(['auto'], 2048, Number.MAX_SAFE_INTEGER),
    'n',
    'memory of all requests at a time; auto: a quarter of the heap limit; more is refused with 503',
  ),
  headerBytesMax: fixed(
    integer(4096, 1_048_576, 32_768),
    'n',
    'largest request headers; larger ones are refused with 431',
  ),
  connectionsMax: live(
    integer(1, 1_000_000, 8192),
    'n',
    'connections of clients at a time; beyond that, those without an accepted request give way, or new ones are closed',
  ),
  unprovenPerAddressMax: live(
    integer(1, 1_000_000, 4096),
    'n',
    'connections of one address without an accepted request; beyond that, the oldest give way, or new ones are closed',
  ),
  trustedProxies: live(
    addressRanges(256),
    'range',
    'addresses, or ranges such as 10.0.0.0/8, of HTTP proxies in front, whose connections never give way; repeatable',
  ),
  kvPublishers: live(
    addressRanges(4096),
    'range',
    'addresses, or ranges such as 10.0.0.0/8, that may connect to bind: addresses of KV events; empty: all; repeatable',
  ),
  requestMsMax: fixed(
    integer(100, 86_400_000, 300_000),
    'ms',
    'time for a request to arrive; then it is refused with 408',
  ),
  totalMsMax: live(
    integer(100, 86_400_000, 3_600_000),
    'ms',
    'time for a whole answer; then it ends with 504 or an error event',
  ),
  holdMsMax: live(
    integer(0, 3_600_000, 15_000),
    'ms',
    'time that a stream may wait for its first token before it is opened with 200 and comments',
  ),
  streamIdleMsMax: live(
    integer(100, 86_400_000, 300_000),
    'ms',
    'time that an answer may pause; then it ends with an error event',
  ),
  inFlightPerKeyMax: live(
    integer(0, 1_000_000_000, 0),
    'n',
    'requests of one key at a time; more are refused with 429; 0: no limit',
  ),
  requestsPerMinutePerKeyMax: live(
    integer(0, 1_000_000_000, 0),
    'n',
    'requests of one key per minute; more are refused with 429; 0: no limit',
  ),
  tokensPerMinutePerKeyMax: live(
    integer(0, 1_000_000_000, 0),
    'n',
    'prompt and output tokens of one key per minute; more are refused with 429; 0: no limit',
  ),
  countCachedTokens: live(flag(true), '', 'count prompt tokens that the engine had cached towards tokens per minute'),
  shadowsMax: live(
    integer(0, 100_000, 64),
    'n',
    'copies of requests (shadow of an entry of models) at a time; beyond it no copy is made',
  ),
  shadowBytesMax: live(
    integer(0, 1_073_741_824, 67_108_864),
    'n',
    'memory of all copies of requests at a time, twice their bodies; beyond it no copy is made',
  ),
  nats: fixed(
    natsServers,
    'url',
    'NATS servers over which replicas of this gateway share load and caches: nats://HOST:PORT or tls://HOST:PORT, repeatable or separated by commas; none: this gateway is the only one',
  ),
  cluster: fixed(subjectName, 'name', 'name that the replicas share: one name per set of replicas on the same NATS'),
  replicas: fixed(
    wordOrInteger(['auto'], 1, 64),
    'n',
    'replicas that should be there: auto (as many as were seen), or 1 to 64; while some are not heard, own load stands for theirs',
  ),
  natsUser: fixed(nullableText, 'name', 'user name for NATS, with natsPassword'),
  natsPassword: fixed(sentSecret, '', 'password for NATS'),
  natsToken: fixed(sentSecret, '', 'token for NATS, instead of a user'),
  natsCredsFile: fixed(path, 'path', 'credentials file for NATS (JWT and seed); read again at each connection'),
  natsNkeyFile: fixed(path, 'path', 'file with the nkey seed for NATS; read again at each connection'),
  natsCaFile: fixed(path, 'path', 'certificate authorities (PEM) that NATS servers are checked against'),
  natsCertFile: fixed(path, 'path', 'certificate (PEM) shown to NATS servers'),
  natsKeyFile: fixed(path, 'path', 'private key of that certificate (PEM)'),
  injectUsage: live(
    flag(false),
    '',
    'ask engines for the usage of every stream; only clients that asked for it see it',
  ),
  decisionsMax: fixed(integer(0, 1_000_000, 1024), 'n', 'decisions kept for /decisions; 0: none'),
  pageViewersMax: live(
    integer(0, 1000, 16),
    'n',
    'pages that may look on at a time; more are refused with 503; 0: none',
  ),
  record: fixed(
    path,
    'path',
    'file to which lengths, times and block ids of all requests are appended (no text), for kvoyant lab',
  ),
  usageFile: fixed(
    path,
    'path',
    'file to which the tokens of every request are appended by key and model, for billing',
  ),
  usageBufferBytesMax: fixed(
    integer(65_536, 1_073_741_824, 16_777_216),
    'n',
    'bytes of that file that may wait for the disk; requests beyond it are summed up by key and model',
  ),
  recordBufferBytesMax: fixed(
    integer(65_536, 1_073_741_824, 16_777_216),
    'n',
    'bytes that may wait for the disk; records beyond it are dropped',
  ),
  probeIntervalMs: fixed(integer(10, 3_600_000, 1000), 'ms', 'time between two probes of an engine that is not ready'),
  canary: fixed(flag(true), '', 'check the tokens, cache and KV events of each worker with two small requests'),
  canaryIntervalMs: fixed(integer(1000, 86_400_000, 600_000), 'ms', 'time between two such checks of an idle worker'),
  selection: fixed(
    flag(false),
    '',
    'also answer the routes of the selection service: choices and reservations for programs that send requests to engines themselves',
  ),
  reservationMs: live(
    integer(1000, 86_400_000, 600_000),
    'ms',
    'time without a call after which a reservation ends, unless it states its own',
  ),
  reservationMsMax: live(
    integer(1000, 86_400_000, 3_600_000),
    'ms',
    'longest such time that a reservation may state, and that of reservations of a connection',
  ),
  reservationsMax: live(
    integer(1, 1_000_000, 65_536),
    'n',
    'reservations at a time, waiting ones included; of several keys, two thirds of what the others leave for each; more are refused with 429',
  ),
  reservationsBytesMax: live(
    wordOrInteger(['auto'], 65_536, Number.MAX_SAFE_INTEGER),
    'n',
    'memory of all reservations; auto: a quarter of the heap limit; of several keys, two thirds of what the others leave for each; more is refused with 429',
  ),
  reservationsPerConnectionMax: live(
    integer(1, 1_000_000, 4096),
    'n',
    'reservations that one connection may hold; more are refused with 429',
  ),
  shutdownNoticeMs: live(
    integer(0, 600_000, 0),
    'ms',
    'time after SIGTERM in which requests are still accepted, while /ready answers 503',
  ),
  shutdownGraceMs: live(integer(0, 3_600_000, 10_000), 'ms', 'time that running answers may then take to end'),
  logLevel: live(oneOf(logLevels, 'info'), 'level', 'least severe level in the log on stderr'),
  logRequests: live(flag(false), '', 'log one line for each request'),
  rehearse: fixed(
    flag(true),
    '',
    'serve made-up requests on loopback first, so that the first burst is as fast as later ones',
  ),
};

export type SettingName = keyof typeof settings;

/** A row by its name, for callers that don't need its type. */
export function settingOf(name: SettingName): Setting {
  return settings[name];
}

export function isSetting(name: string): name is SettingName {
  return Object.hasOwn(settings, name);
}

export const settingNames: readonly SettingName[] = Object.keys(settings) as SettingName[];
