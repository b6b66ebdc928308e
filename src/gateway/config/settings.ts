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

const workerForm =
  '[dns+]URL[,kv-events=[bind:]tcp://HOST:PORT][,kv-replay=tcp://HOST:PORT][,kv-topic=PREFIX][,api-key=KEY]' +
  '[,blocks=N][,block-size=N][,running-max=N][,model=NAME][,server-name=NAME]';

export const settings: Readonly<Record<SettingName, Setting>> = {
  workers: live(
    'list',
    'spec',
    `an engine: ${workerForm}; dns+: one at each address of the name; repeatable, in the environment separated by blanks`,
  ),
  workersFile: live('text', 'path', 'YAML list of further workers'),
  dnsIntervalMs: fixed('number', 'ms', 'between two look-ups of dns+ workers'),
  workerDrainMsMax: live(
    'number',
    'ms',
    'how long a worker that is removed may take to end its answers; then they are cut',
  ),
  tokenizer: fixed(
    'text',
    'spec',
    'who tells the token ids of prompts: engine (its /tokenize), the path of a Hugging Face tokenizer.json, builtin, or none',
  ),
  tokenizeMsMax: fixed(
    'number',
    'ms',
    'a prompt whose token ids an engine does not tell in time is routed by its bytes',
  ),
  trustTokenizer: fixed('switch', '', 'use engines even if their /tokenize disagrees with the tokenizer'),
  blockSize: fixed('auto', 'tokens', 'auto (as the engine says, else 16), or 1 to 65536'),
  defaultCapacityBlocks: fixed('number', 'n', 'KV blocks of a worker that does not say how many it has'),
  policy: choice('name', policyNames, 'how a worker is chosen'),
  overlapWeight: fixed('number', 'w', 'kv: what a token of prefill costs against a token of occupied cache'),
  temperature: fixed('number', 't', 'kv: 0 takes the lowest cost, more spreads'),
  kvForm: choice('form', ['1895', '1731'], 'kv: 1895 counts the prefill tokens in flight, 1731 does not'),
  seed: fixed('number', 'n', 'of every draw of chance'),
  inFlightCredit: fixed('switch', '', 'count blocks promised by requests in flight as overlap'),
  bookAt: choice(
    'when',
    ['choice', 'first-token'],
    'when the load of a request counts; first-token shows what late booking costs',
  ),
  queue: fixed('switch', '', 'hold requests while every worker that may take them is known to be full'),
  queuedRequestsMax: fixed('number', 'n', 'further requests that would have to wait are refused with 429'),
  queueWaitMsMax: fixed('number', 'ms', 'a request that waits longer for a worker with room is refused with 503'),
  sessionCreditTokens: fixed(
    'number',
    'tokens',
    'kv: what the worker that a session was last placed on is cheaper by; 0: nothing',
  ),
  host: fixed('text', 'address', 'address to listen on'),
  port: fixed('number', 'n', 'port to listen on; 0: any free one'),
  allowOpen: fixed('switch', '', 'listen beyond this machine although no API keys are set'),
  apiKeys: live('secret-list', '', 'keys of clients, NAME:KEY each; KEY may be its hash'),
  apiKeysFile: live('text', 'path', 'YAML list of further keys of clients'),
  adminKey: live('secret', '', 'key for all that is not the OpenAI API; without one only this machine may use that'),
  tlsCertFile: live('text', 'path', 'certificate chain (PEM) shown to clients; with it they must use https'),
  tlsKeyFile: live('text', 'path', 'its private key (PEM)'),
  workerCaFile: fixed('text', 'path', 'authorities (PEM) that certificates of https workers may come from'),
  bodyBytesMax: live('number', 'n', 'larger request bodies are refused with 413'),
  headerBytesMax: fixed('number', 'n', 'larger request headers are refused with 431'),
  connectionsMax: live('number', 'n', 'further connections of clients are closed at once'),
  requestMsMax: fixed('number', 'ms', 'a request that takes longer to arrive is refused with 408'),
  totalMsMax: live('number', 'ms', 'an answer that takes longer ends with 504 or an error event'),
  holdMsMax: live('number', 'ms', 'a stream without a token for longer is opened with 200 and comments'),
  streamIdleMsMax: live('number', 'ms', 'an answer that pauses for longer ends with an error event'),
  inFlightPerKeyMax: live('number', 'n', 'further requests of a key at a time are refused with 429; 0: no limit'),
  requestsPerMinutePerKeyMax: live('number', 'n', 'further requests of a key are refused with 429; 0: no limit'),
  injectUsage: live('switch', '', 'ask engines for the usage of streams where the client does not, who gets none'),
  decisionsMax: fixed('number', 'n', 'decisions kept for /decisions; 0: none'),
  record: fixed('text', 'path', 'append lengths, times and block ids of all requests, no text, for kvoyant lab'),
  recordBufferBytesMax: fixed('number', 'n', 'what waits for the disk beyond that is not recorded'),
  probeIntervalMs: fixed('number', 'ms', 'between two looks at an engine that is not ready'),
  canary: fixed('switch', '', 'prove each worker by two small requests: tokens, cache, KV events'),
  canaryIntervalMs: fixed('number', 'ms', 'between two such proofs of an idle worker'),
  shutdownNoticeMs: live('number', 'ms', 'how long after SIGTERM requests are still taken, while /ready says 503'),
  shutdownGraceMs: live('number', 'ms', 'how long running answers may take to end afterwards'),
  logLevel: { ...choice('level', logLevels, 'of the log on stderr'), reload: 'live' },
  logRequests: live('switch', '', 'log one line a request'),
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
      return text === 'auto' ? text : numberFrom(text);
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
      return config.apiKeys.map(({ name: keyName, models, inFlightMax, requestsPerMinuteMax }) => ({
        name: keyName,
        key: masked,
        models,
        inFlightMax,
        requestsPerMinuteMax,
      }));
    case 'adminKey':
      return config.adminKey === null ? null : masked;
    default:
      return config[name];
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
