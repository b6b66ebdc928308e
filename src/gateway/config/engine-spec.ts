// The configuration of one engine: `URL[,key=value...]`, or the same as an object.

import { statedEndpointFault } from '../feeds/feed-address.ts';
import { isPoolName, poolNameRule } from './pool-name.ts';

export interface EngineSpec {
  /** Base address, without a trailing slash. */
  readonly url: string;
  /** Address of its KV events, with `bind:` if the engine connects to it; absent: the engine is asked. */
  readonly kvEvents?: string;
  /** Address that replays those events. */
  readonly kvReplay?: string;
  /** Prefix of its topics, where several engines connect to one address; absent: as the engine says. */
  readonly kvTopic?: string;
  /** Key sent to this engine instead of the client's authorization. */
  readonly apiKey?: string;
  readonly capacityBlocks?: number;
  readonly blockSize?: number;
  /** Concurrent requests per worker. */
  readonly runningRequestsMax?: number;
  /** The model it serves; absent: the engine is asked. */
  readonly model?: string;
  /** The pool that it joins, one of `pools`; absent: that of its models. */
  readonly pool?: string;
  /** The host name stands for several engines, one per address. */
  readonly dns?: true;
  /** Name in the engine's certificate, if it differs from the address. */
  readonly serverName?: string;
  /** Paths of PEM files for TLS to this engine instead of those for all: its authorities, our certificate and its key. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
}

export type EngineSpecResult =
  | { readonly kind: 'spec'; readonly spec: EngineSpec }
  /** `field`: the faulty field, if the engine was given as an object. */
  | { readonly kind: 'wrong'; readonly message: string; readonly field?: string };

const keys = [
  'kv-events',
  'kv-replay',
  'kv-topic',
  'api-key',
  'blocks',
  'block-size',
  'running-max',
  'model',
  'pool',
  'server-name',
  'ca-file',
  'cert-file',
  'key-file',
] as const;
type Key = (typeof keys)[number];

export const kvTopicLengthMax = 1024;

const dnsPrefix = 'dns+';

/** The text key of each object field. */
const fields: Readonly<Record<Exclude<keyof EngineSpec, 'url' | 'dns'>, Key>> = {
  kvEvents: 'kv-events',
  kvReplay: 'kv-replay',
  kvTopic: 'kv-topic',
  apiKey: 'api-key',
  capacityBlocks: 'blocks',
  blockSize: 'block-size',
  runningRequestsMax: 'running-max',
  model: 'model',
  pool: 'pool',
  serverName: 'server-name',
  caFile: 'ca-file',
  certFile: 'cert-file',
  keyFile: 'key-file',
};

/** Fields that name files, which only a configuration may do. */
export const engineFileFields: readonly (keyof EngineSpec)[] = ['caFile', 'certFile', 'keyFile'];

export const engineFields: readonly string[] = ['url', ...Object.keys(fields)];

/** @param value a text as on the command line, or an object with `url` and fields of `EngineSpec` */
export function readEngineSpec(value: unknown): EngineSpecResult {
  if (typeof value === 'string') return parseEngineSpec(value);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return wrong('must be an address or an object with a url');
  }
  const { url, dns, ...settings } = value as Record<string, unknown>;
  if (typeof url !== 'string') return wrong('has no url');
  const parsed = parseAddress(url);
  if (parsed === null) return { ...wrong(notAnAddress(url)), field: 'url' };
  let spec: EngineSpec = dns === true ? { ...parsed, dns } : parsed;
  for (const [field, setting] of Object.entries(settings)) {
    const key = fields[field as keyof typeof fields];
    if (key === undefined) {
      const message = `${JSON.stringify(field)} of ${url} is unknown; allowed are ${engineFields.join(', ')}`;
      return { ...wrong(message), field };
    }
    if (!hasKind(key, setting)) {
      const blank = setting === null || setting === '';
      return {
        ...wrong(`${key} of ${spec.url} ${blank ? 'is empty: give it a value, or leave it out' : kindRule(key)}`),
        field,
      };
    }
    const result = withSetting(spec, key, String(setting));
    if (result.kind === 'wrong') return { ...result, field };
    spec = result.spec;
  }
  return withoutTlsFault(spec);
}

export function parseEngineSpec(text: string): EngineSpecResult {
  const [address = '', ...settings] = text.split(',');
  const parsed = parseAddress(address.trim());
  if (parsed === null) return wrong(notAnAddress(address));
  let spec = parsed;
  for (const setting of settings) {
    const split = setting.indexOf('=');
    const key = setting.slice(0, split === -1 ? undefined : split).trim();
    const value = split === -1 ? '' : setting.slice(split + 1).trim();
    if (value === '') return wrong(`${JSON.stringify(nameIn(key))} of ${spec.url} is not of the form key=value`);
    const result = withSetting(spec, key as Key, value);
    if (result.kind === 'wrong') return result;
    spec = result.spec;
  }
  return withoutTlsFault(spec);
}

function withoutTlsFault(spec: EngineSpec): EngineSpecResult {
  const { url, certFile, keyFile } = spec;
  const field = engineFileFields.find((name) => spec[name] !== undefined) as keyof typeof fields | undefined;
  if (field !== undefined && url.startsWith('http:')) {
    return { ...wrong(`${fields[field]} of ${url} needs an address with https://`), field };
  }
  if ((certFile === undefined) === (keyFile === undefined)) return right(spec);
  const [given, missing] = certFile === undefined ? ['keyFile', 'cert-file'] : ['certFile', 'key-file'];
  return { ...wrong(`${missing} of ${url} is missing: a certificate needs its key`), field: given! };
}

const numbers: ReadonlySet<Key> = new Set<Key>(['blocks', 'block-size', 'running-max']);

/** Values from a file or a request are checked before they become texts: a blank one would become `null`. */
function hasKind(key: Key, value: unknown): boolean {
  return (typeof value === 'string' && value !== '') || (typeof value === 'number' && numbers.has(key));
}

function kindRule(key: Key): string {
  return numbers.has(key) ? 'must be a number' : 'must be a text: put it in quotes';
}

function withSetting(spec: EngineSpec, key: Key, value: string): EngineSpecResult {
  const { url } = spec;
  switch (key) {
    case 'kv-events':
    case 'kv-replay': {
      const fault = statedEndpointFault(value, key === 'kv-events' ? 'events' : 'replay');
      if (fault !== null) return wrong(`${key} of ${url} must be like tcp://127.0.0.1:5557: ${fault}`);
      return right(key === 'kv-events' ? { ...spec, kvEvents: value } : { ...spec, kvReplay: value });
    }
    case 'kv-topic':
      if (value.length > kvTopicLengthMax) return wrong(`kv-topic of ${url} is longer than ${kvTopicLengthMax}`);
      return right({ ...spec, kvTopic: value });
    case 'api-key':
      if (!/^[\x21-\x7e]+$/.test(value)) return wrong(`api-key of ${url} has characters that no header may have`);
      return right({ ...spec, apiKey: value });
    case 'blocks':
    case 'block-size':
    case 'running-max': {
      const number = Number(value);
      const max = key === 'block-size' ? 65_536 : 100_000_000;
      if (!Number.isInteger(number) || number < 1 || number > max) {
        return wrong(`${key} of ${url} must be an integer from 1 to ${max}, got ${JSON.stringify(value)}`);
      }
      if (key === 'running-max') return right({ ...spec, runningRequestsMax: number });
      return right(key === 'blocks' ? { ...spec, capacityBlocks: number } : { ...spec, blockSize: number });
    }
    case 'model':
      return right({ ...spec, model: value });
    case 'pool':
      if (!isPoolName(value)) return wrong(`pool of ${url} ${poolNameRule}`);
      return right({ ...spec, pool: value });
    case 'server-name':
      return right({ ...spec, serverName: value });
    case 'ca-file':
      return right({ ...spec, caFile: value });
    case 'cert-file':
      return right({ ...spec, certFile: value });
    case 'key-file':
      return right({ ...spec, keyFile: value });
    default:
      return wrong(`${JSON.stringify(nameIn(key))} of ${url} is unknown; allowed are ${keys.join(', ')}`);
  }
}

function parseAddress(text: string): EngineSpec | null {
  const isName = text.startsWith(dnsPrefix);
  const url = parseHttpUrl(isName ? text.slice(dnsPrefix.length) : text);
  if (url === null) return null;
  return isName ? { url, dns: true } : { url };
}

/** Hides everything before an `@`, since an address may hold a password. */
function notAnAddress(text: string): string {
  return `${JSON.stringify(text.replace(/^.*@/, '...@'))} is no http:// or https:// address`;
}

/** Only the leading name, since the rest may contain a misplaced secret. */
function nameIn(text: string): string {
  return /^[\w-]*/.exec(text)![0];
}

function right(spec: EngineSpec): EngineSpecResult {
  return { kind: 'spec', spec };
}

function parseHttpUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  if (url.search !== '' || url.hash !== '' || url.username !== '') return null;
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
}

function wrong(message: string): Extract<EngineSpecResult, { kind: 'wrong' }> {
  return { kind: 'wrong', message };
}
