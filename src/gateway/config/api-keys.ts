// Clients' API keys: how they are read, which models each one may use, and its limits.

import { createHmac, randomBytes } from 'node:crypto';
import { certificateName, certificateNameRule } from './certificate-names.ts';
import {
  fieldsFault,
  isEntry,
  isIntegerWithin,
  isListOfNames,
  limitMax,
  type WrongEntry,
  wrongEntry as wrong,
} from './entry-fields.ts';
import { hashSecret, isSecretHash, SecretCheck, secretForm } from './secret-hash.ts';

export interface ApiKey {
  /** Name of the key in logs. */
  readonly name: string;
  /** Result of `hashSecret`; the key itself is not kept. Null: only a certificate opens it. */
  readonly hash: string | null;
  /** Names of certificates with the same rights, in the form of `certificateName`. */
  readonly certificates: readonly string[];
  /** Models that the key may use; null: all. */
  readonly models: readonly string[] | null;
  /** Null: the limit set for every key; 0: no limit. */
  readonly inFlightMax: number | null;
  readonly requestsPerMinuteMax: number | null;
  readonly tokensPerMinuteMax: number | null;
  /** Name of the tenant that it belongs to; null: it is one of its own. */
  readonly tenant: string | null;
  /** Lowest and highest priority that its requests may ask for; null: none. */
  readonly priorities: readonly [number, number] | null;
  /** Whether its requests may name a worker and set routing weights. */
  readonly routing: boolean;
  /** Whether it may use the routes of the selection service. */
  readonly selection: boolean;
}

export type ApiKeyResult = { readonly kind: 'key'; readonly key: ApiKey } | WrongEntry;

const fields = [
  'name',
  'key',
  'certificates',
  'tenant',
  'models',
  'inFlightMax',
  'requestsPerMinuteMax',
  'tokensPerMinuteMax',
  'priorities',
  'routing',
  'selection',
];
const certificatesMax = 64;

/** @param value `NAME:KEY`, or an object with `name`, `key` and further fields; the key may be its hash */
export function readApiKey(value: unknown): ApiKeyResult {
  if (typeof value === 'string') {
    const split = value.indexOf(':');
    if (split === -1) return wrong('is not of the form NAME:KEY');
    return readApiKey({ name: value.slice(0, split), key: value.slice(split + 1) });
  }
  if (!isEntry(value)) return wrong('must be NAME:KEY or an object with a name and a key');
  const fault = fieldsFault(value, fields);
  if (fault !== null) return fault;
  const {
    name,
    key,
    certificates = [],
    models = null,
    inFlightMax = null,
    requestsPerMinuteMax = null,
    tokensPerMinuteMax = null,
    tenant = null,
    priorities = null,
    routing = false,
    selection = false,
  } = value as Partial<ApiKeyFields>;
  if (typeof name !== 'string' || !keyNameForm.test(name)) {
    return wrong(`name ${keyNameRule}`, 'name');
  }
  const names = Array.isArray(certificates) ? certificates.map(certificateName) : [null];
  if (names.includes(null)) return wrong(`each of certificates of ${name} ${certificateNameRule}`, 'certificates');
  if (names.length > certificatesMax) return wrong(`certificates of ${name} has more than ${certificatesMax} names`);
  const certified = key === undefined && names.length > 0;
  if (!certified && (typeof key !== 'string' || !(isSecretHash(key) || secretForm.test(key)))) {
    return wrong(`key of ${name} must have 16 to 256 visible characters, or be sha256:SALT:DIGEST`, 'key');
  }
  if (models !== null && !isListOfNames(models)) {
    return wrong(`models of ${name} must be a list of names`, 'models');
  }
  for (const [field, limit] of Object.entries({ inFlightMax, requestsPerMinuteMax, tokensPerMinuteMax })) {
    if (limit === null || isIntegerWithin(limit, 0, limitMax)) continue;
    return wrong(`${field} of ${name} must be an integer from 0 to ${limitMax}`, field);
  }
  if (tenant !== null && !(typeof tenant === 'string' && keyNameForm.test(tenant))) {
    return wrong(`tenant of ${name} ${keyNameRule}`, 'tenant');
  }
  if (priorities !== null && !isPriorityRange(priorities)) {
    return wrong(`priorities of ${name} must be the lowest and the highest, such as [0, 10]`, 'priorities');
  }
  if (typeof routing !== 'boolean') return wrong(`routing of ${name} must be true or false`, 'routing');
  if (typeof selection !== 'boolean') return wrong(`selection of ${name} must be true or false`, 'selection');
  return {
    kind: 'key',
    key: {
      name,
      hash: certified ? null : hashSecret(key as string),
      certificates: names as readonly string[],
      models,
      inFlightMax: inFlightMax as number | null,
      requestsPerMinuteMax: requestsPerMinuteMax as number | null,
      tokensPerMinuteMax: tokensPerMinuteMax as number | null,
      tenant,
      priorities,
      routing,
      selection,
    },
  };
}

interface ApiKeyFields {
  readonly name: unknown;
  readonly key: unknown;
  readonly certificates: unknown;
  readonly models: unknown;
  readonly inFlightMax: unknown;
  readonly requestsPerMinuteMax: unknown;
  readonly tokensPerMinuteMax: unknown;
  readonly tenant: unknown;
  readonly priorities: unknown;
  readonly routing: unknown;
  readonly selection: unknown;
}

export const keyNameForm: RegExp = /^[\w.@-]{1,64}$/;
export const keyNameRule = 'must have 1 to 64 letters, digits or any of . _ - @';

export function isPriorityRange(value: unknown): value is [number, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [min, max] = value as unknown[];
  const inBounds = (bound: unknown): boolean => Number.isInteger(bound) && Math.abs(bound as number) < 2 ** 31;
  return inBounds(min) && inBounds(max) && (min as number) <= (max as number);
}

/** Finds the key of a secret: the first time by checking every key, later by a lookup. */
export class ApiKeyring<K extends ApiKey = ApiKey> {
  /** Remembered secrets; beyond it the oldest is forgotten. */
  static readonly rememberedMax: number = 4096;

  readonly #keys: readonly K[];
  readonly #checks: readonly { readonly key: K; readonly check: SecretCheck }[];
  readonly #ofCertificate: ReadonlyMap<string, K>;
  /** Keyed by a digest that is useless outside this process. */
  readonly #known = new Map<string, K>();
  readonly #pepper: Buffer = randomBytes(32);

  constructor(keys: readonly K[]) {
    this.#keys = keys;
    this.#checks = keys.flatMap((key) => (key.hash === null ? [] : [{ key, check: new SecretCheck(key.hash) }]));
    this.#ofCertificate = new Map(keys.flatMap((key) => key.certificates.map((name) => [name, key] as const)));
  }

  /** True: no key is needed. */
  get open(): boolean {
    return this.#keys.length === 0;
  }

  /** The first of these names of a certificate that a key has; null: none. */
  certified(names: readonly string[]): { readonly name: string; readonly key: K } | null {
    for (const name of names) {
      const key = this.#ofCertificate.get(name);
      if (key !== undefined) return { name, key };
    }
    return null;
  }

  find(secret: string): K | null {
    const mark = createHmac('sha256', this.#pepper).update(secret).digest('base64');
    const known = this.#known.get(mark);
    if (known !== undefined) return known;
    const found = this.#checks.find(({ check }) => check.accepts(secret));
    if (found === undefined) return null;
    if (this.#known.size >= ApiKeyring.rememberedMax) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(mark, found.key);
    return found.key;
  }
}
