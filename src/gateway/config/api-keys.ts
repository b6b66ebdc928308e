// The keys that let clients in: whose a key is, which models it opens, and what it may use at most.

import { createHmac, randomBytes } from 'node:crypto';
import { hashSecret, isSecretHash, SecretCheck, secretForm } from './secret-hash.ts';

export interface ApiKey {
  /** Stands for the key in logs. */
  readonly name: string;
  /** As `hashSecret` gives it; the key itself is not kept. */
  readonly hash: string;
  /** Models that it opens; null: all. */
  readonly models: readonly string[] | null;
  /** Null: as set for every key; 0: no limit. */
  readonly inFlightMax: number | null;
  readonly requestsPerMinuteMax: number | null;
  /** The lowest and the highest priority that its requests may have; null: they have none. */
  readonly priorities: readonly [number, number] | null;
  /** Its requests may name their worker, and weigh what speaks for one. */
  readonly routing: boolean;
}

export type ApiKeyResult =
  | { readonly kind: 'key'; readonly key: ApiKey }
  | { readonly kind: 'wrong'; readonly message: string; readonly field?: string };

const fields = ['name', 'key', 'models', 'inFlightMax', 'requestsPerMinuteMax', 'priorities', 'routing'];
const limitMax = 1_000_000_000;

/** @param value `NAME:KEY`, or an object with `name`, `key` and what else is set; the key may be given as its hash */
export function readApiKey(value: unknown): ApiKeyResult {
  if (typeof value === 'string') {
    const split = value.indexOf(':');
    if (split === -1) return wrong('is not of the form NAME:KEY');
    return readApiKey({ name: value.slice(0, split), key: value.slice(split + 1) });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return wrong('must be NAME:KEY or an object with a name and a key');
  }
  const given = value as Record<string, unknown>;
  const unknown = Object.keys(given).find((field) => !fields.includes(field));
  if (unknown !== undefined) {
    return wrong(`${JSON.stringify(unknown)} is unknown; allowed are ${fields.join(', ')}`, unknown);
  }
  // A list of models that was left blank must not open all of them.
  const blank = Object.keys(given).find((field) => given[field] === null);
  if (blank !== undefined) return wrong(`${blank} is empty: give it a value, or leave it out`, blank);
  const {
    name,
    key,
    models = null,
    inFlightMax = null,
    requestsPerMinuteMax = null,
    priorities = null,
    routing = false,
  } = given as Partial<ApiKeyFields>;
  if (typeof name !== 'string' || !keyNameForm.test(name)) {
    return wrong(`name ${keyNameRule}`, 'name');
  }
  if (typeof key !== 'string' || !(isSecretHash(key) || secretForm.test(key))) {
    return wrong(`key of ${name} must have 16 to 256 visible characters, or be sha256:SALT:DIGEST`, 'key');
  }
  if (models !== null && !(Array.isArray(models) && models.every((model) => typeof model === 'string'))) {
    return wrong(`models of ${name} must be a list of names`, 'models');
  }
  for (const [field, limit] of Object.entries({ inFlightMax, requestsPerMinuteMax })) {
    if (limit === null || (Number.isInteger(limit) && (limit as number) >= 0 && (limit as number) <= limitMax))
      continue;
    return wrong(`${field} of ${name} must be an integer from 0 to ${limitMax}`, field);
  }
  if (priorities !== null && !isRange(priorities)) {
    return wrong(`priorities of ${name} must be the lowest and the highest, such as [0, 10]`, 'priorities');
  }
  if (typeof routing !== 'boolean') return wrong(`routing of ${name} must be true or false`, 'routing');
  return {
    kind: 'key',
    key: {
      name,
      hash: hashSecret(key),
      models: models as readonly string[] | null,
      inFlightMax: inFlightMax as number | null,
      requestsPerMinuteMax: requestsPerMinuteMax as number | null,
      priorities,
      routing,
    },
  };
}

interface ApiKeyFields {
  readonly name: unknown;
  readonly key: unknown;
  readonly models: unknown;
  readonly inFlightMax: unknown;
  readonly requestsPerMinuteMax: unknown;
  readonly priorities: unknown;
  readonly routing: unknown;
}

export const keyNameForm: RegExp = /^[\w.@-]{1,64}$/;
export const keyNameRule = 'must have 1 to 64 letters, digits or any of . _ - @';

function isRange(value: unknown): value is [number, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [min, max] = value as unknown[];
  const inBounds = (bound: unknown): boolean => Number.isInteger(bound) && Math.abs(bound as number) < 2 ** 31;
  return inBounds(min) && inBounds(max) && (min as number) <= (max as number);
}

function wrong(message: string, field?: string): ApiKeyResult {
  return { kind: 'wrong', message, ...(field !== undefined && { field }) };
}

/** Finds the key that a secret is: the first time by trying all, afterwards at once. */
export class ApiKeyring {
  /** Known secrets are forgotten in the order in which they came, so that the memory has a bound. */
  static readonly rememberedMax: number = 4096;

  readonly #checks: readonly { readonly key: ApiKey; readonly check: SecretCheck }[];
  /** By a digest that means nothing outside this process. */
  readonly #known = new Map<string, ApiKey>();
  readonly #pepper: Buffer = randomBytes(32);

  constructor(keys: readonly ApiKey[]) {
    this.#checks = keys.map((key) => ({ key, check: new SecretCheck(key.hash) }));
  }

  /** Nobody needs a key. */
  get open(): boolean {
    return this.#checks.length === 0;
  }

  find(secret: string): ApiKey | null {
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
