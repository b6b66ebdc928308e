// Every setting as an operator meets it: what it is for, how it is written, and whether it changes while the gateway runs.

import { policyNames } from '../../core/index.ts';
import { type GatewayConfig, logLevels, resolveConfig } from './config.ts';

export type SettingName = keyof GatewayConfig;

/**
 * How a text becomes a value. `auto`: a number, or the word. `list`: separated by blanks. `secret`: shown to nobody,
 * so there is no flag for it, which other users of the machine would see.
 */
export type SettingKind = 'text' | 'number' | 'auto' | 'switch' | 'list' | 'secret' | 'secret-list';

export interface Setting {
  readonly kind: SettingKind;
  readonly description: string;
  /** `live`: a reload changes it. `restart`: a reload says that it would have to start anew. */
  readonly reload: 'live' | 'restart';
  /** Stands for the value in the help. */
  readonly value?: string;
  readonly choices?: readonly string[];
}

const live = (kind: SettingKind, value: string, description: string): Setting => ({
  kind,
  value,
  description,
  reload: 'live',
});
const fixed = (kind: SettingKind, value: string, description: string): Setting => ({
  kind,
  value,
  description,
  reload: 'restart',
});
const choice = (value: string, choices: readonly string[], description: string): Setting => ({
  ...fixed('text', value, description),
  choices,
});

const workerOptions =
  'kv-events=[bind:]tcp://HOST:PORT, kv-replay=tcp://HOST:PORT, kv-topic=PREFIX, api-key=KEY, blocks=N, ' +
  'block-size=N, running-max=N, model=NAME, server-name=NAME';

export const settings: Readonly<Record<SettingName, Setting>> = {
  workers: live(
    'list',
    'spec',
    `an engine: [dns+]URL[,OPTION=VALUE]..., the options being ${workerOptions}; dns+ makes an engine of each address of the host name; repeatable, separated by blanks in the environment`,
  ),
  workersFile: live('text', 'path', 'YAML list of more engines'),
  dnsIntervalMs: fixed('number', 'ms', 'time between two look-ups of dns+ host names'),
  allowLinkLocal: fixed('switch', '', 'allow workers at link-local addresses, where clouds keep credentials'),
  workerDrainMsMax: live(
    'number',
    'ms',
    'how long a removed worker may take to finish its answers; what remains is then cut',
  ),
  tokenizer: fixed(
    'text',
    'spec',
    'what turns prompts into token ids: engine (its /tokenize), the path of a Hugging Face tokenizer.json, builtin (cl100k_base), or none',
  ),
  tokenizeMsMax: fixed(
    'number',
    'ms',
    'how long to wait for the token ids of an engine; then the prompt is routed by its bytes',
  ),
  trustTokenizer: fixed('switch', '', 'use engines even if their /tokenize disagrees with the tokenizer'),
  blockSize: fixed('auto', 'tokens', 'tokens in a KV block: auto (what the engine says, else 16), or 1 to 65536'),
  defaultCapacityBlocks: fixed('number', 'n', 'KV blocks of a worker that does not say how many it has'),
  policy: choice('name', policyNames, 'how a worker is chosen'),
  overlapWeight: fixed('number', 'w', 'kv: cost of a token of prefill relative to a token of occupied cache'),
  temperature: fixed('number', 't', 'kv: 0 takes the lowest cost; a higher value spreads requests at random'),
  kvForm: choice('form', ['1895', '1731'], 'kv: 1895 counts the prefill tokens in flight, 1731 does not'),
  seed: fixed('number', 'n', 'seed of all random draws'),
  inFlightCredit: fixed('switch', '', 'count blocks promised by requests in flight as overlap'),
  bookAt: choice(
    'when',
    ['choice', 'first-token'],
    'when a request starts to count as load; first-token shows what late booking costs',
  ),
  sessionCreditTokens: fixed(
    'number',
    'tokens',
    'kv: how many tokens cheaper the last worker of a session is; 0: no credit',
  ),
  queue: fixed('switch', '', 'hold requests while every worker that may take them is known to be full'),
  queuedRequestsMax: fixed('number', 'n', 'requests that may wait; more are refused with 429'),
  queueWaitMsMax: fixed(
    'number',
    'ms',
    'how long a request may wait for a worker with room; then it is refused with 503',
  ),
  host: fixed('text', 'address', 'address to listen on'),
  port: fixed('number', 'n', 'port to listen on; 0: any free one'),
  allowOpen: fixed('switch', '', 'allow other machines to connect although no API keys are set'),
  apiKeys: live('secret-list', '', 'API keys of clients, NAME:KEY each; KEY may be its hash'),
  apiKeysFile: live('text', 'path', 'YAML list of more API keys of clients'),
  corsOrigins: live('list', 'origin', 'origins of web pages that may use the routes of clients; repeatable; * for all'),
  adminHost: fixed('text', 'address', "address of the operators' listener: metrics, workers, loads, decisions"),
  adminPort: fixed(
    'auto',
    'n',
    "port of the operators' listener: auto (the first above port that no worker here has; any if port is 0), none, or 0 to 65535",
  ),
  adminKey: live('secret', '', 'key of operators; without one only this machine gets in, at their listener'),
  viewKey: live('secret', '', 'key for what operators look at (GET, metrics among it); it changes nothing'),
  tlsCertFile: live('text', 'path', 'certificate chain (PEM) shown to clients; with it they must use https'),
  tlsKeyFile: live('text', 'path', 'private key of that certificate (PEM)'),
  workerCaFile: fixed('text', 'path', 'certificate authorities (PEM) that https engines are checked against'),
  bodyBytesMax: live('number', 'n', 'largest request body; a larger one is refused with 413'),
  bodiesBytesMax: live(
    'auto',
    'n',
    'memory of all requests at a time, auto: two fifths of what the heap may grow to; more is refused with 503',
  ),
  headerBytesMax: fixed('number', 'n', 'largest request headers; larger ones are refused with 431'),
  connectionsMax: live(
    'number',
    'n',
    'connections of clients at a time; beyond that, those without an accepted request give way, or new ones are closed',
  ),
  unprovenPerAddressMax: live(
    'number',
    'n',
    'connections of one address without an accepted request; beyond that, the oldest give way, or new ones are closed',
  ),
  trustedProxies: live(
    'list',
    'range',
    'addresses, or ranges such as 10.0.0.0/8, of HTTP proxies in front, whose connections never give way; repeatable',
  ),
  kvPublishers: live(
    'list',
    'range',
    'addresses, or ranges such as 10.0.0.0/8, that may connect to bind: addresses of KV events; without any, all may; repeatable',
  ),
  requestMsMax: fixed('number', 'ms', 'how long a request may take to arrive; then it is refused with 408'),
  totalMsMax: live('number', 'ms', 'how long an answer may take in all; then it ends with 504 or an error event'),
  holdMsMax: live(
    'number',
    'ms',
    'how long a stream may wait for its first token before it is opened with 200 and comments',
  ),
  streamIdleMsMax: live('number', 'ms', 'how long an answer may pause; then it ends with an error event'),
  inFlightPerKeyMax: live('number', 'n', 'requests of one key at a time; more are refused with 429; 0: no limit'),
  requestsPerMinutePerKeyMax: live(
    'number',
    'n',
    'requests of one key in a minute; more are refused with 429; 0: no limit',
  ),
  injectUsage: live(
    'switch',
    '',
    'ask engines for the usage of every stream; a client that did not ask does not see it',
  ),
  decisionsMax: fixed('number', 'n', 'decisions kept for /decisions; 0: none'),
  record: fixed(
    'text',
    'path',
    'file that lengths, times and block ids of all requests are appended to (no text), for kvoyant lab',
  ),
  recordBufferBytesMax: fixed('number', 'n', 'bytes that may wait for the disk; what comes beyond is not recorded'),
  probeIntervalMs: fixed('number', 'ms', 'time between two probes of an engine that is not ready'),
  canary: fixed('switch', '', 'test each worker with two small requests: tokens, cache, KV events'),
  canaryIntervalMs: fixed('number', 'ms', 'time between two such tests of an idle worker'),
  shutdownNoticeMs: live(
    'number',
    'ms',
    'how long requests are still accepted after SIGTERM, while /ready answers 503',
  ),
  shutdownGraceMs: live('number', 'ms', 'how long running answers may then take to end'),
  logLevel: { ...choice('level', logLevels, 'least severe level in the log on stderr'), reload: 'live' },
  logRequests: live('switch', '', 'log one line for each request'),
  rehearse: fixed(
    'switch',
    '',
    'serve made-up requests on loopback first, so that the first burst is as fast as later ones',
  ),
};

export const settingNames: readonly SettingName[] = Object.keys(settings) as SettingName[];

/** What holds where nothing is set. */
export const settingDefaults: Readonly<GatewayConfig> = {
  ...resolveConfig({ workers: ['http://127.0.0.1:1'] }),
  workers: [],
};

/** As in `--body-bytes-max`; the switch that is on by default is written as its opposite. Null: there is no flag. */
export function flagName(setting: SettingName): string | null {
  const { kind } = settings[setting];
  if (kind === 'secret' || kind === 'secret-list') return null;
  if (setting === 'workers') return '--worker';
  return `--${settingDefaults[setting] === true ? 'no-' : ''}${kebab(setting)}`;
}

export function environmentName(setting: SettingName): string {
  const name = setting === 'workers' ? 'worker' : setting;
  return `KVOYANT_${kebab(name).replaceAll('-', '_').toUpperCase()}`;
}

/** Turns the text of a flag or a variable into a value; what is wrong about it, the configuration says. */
export function settingFromText(setting: SettingName, text: string): unknown {
  const { kind } = settings[setting];
  switch (kind) {
    case 'text':
    case 'secret':
      return text;
    case 'number':
      return numberFrom(text);
    case 'auto':
      return numberFrom(text);
    case 'switch':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      return /^(0|false|no|off|)$/i.test(text) ? false : text;
    case 'list':
    case 'secret-list':
      return text.split(/\s+/).filter(Boolean);
  }
}

function numberFrom(text: string): number | string {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  return Number.isNaN(number) ? text : number;
}

/** The configuration as it may be shown: secrets masked. */
export function shownConfig(config: GatewayConfig): object {
  return Object.fromEntries(settingNames.map((name) => [name, shownValue(name, config)]));
}

export const masked = '(secret)';

function shownValue(name: SettingName, config: GatewayConfig): unknown {
  switch (name) {
    case 'workers':
      return config.workers.map((worker) => ({ ...worker, ...(worker.apiKey !== undefined && { apiKey: masked }) }));
    case 'apiKeys':
      return config.apiKeys.map(({ name: keyName, hash: _, ...rest }) => ({ name: keyName, key: masked, ...rest }));
    case 'adminKey':
    case 'viewKey':
      return config[name] === null ? null : masked;
    default:
      return config[name];
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
