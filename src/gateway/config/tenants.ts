// Tenants: who the API keys belong to, their shares of the workers, and limits over all their keys.

import { type ApiKey, isPriorityRange, keyNameForm, keyNameRule } from './api-keys.ts';
import {
  fieldsFault,
  isEntry,
  isIntegerWithin,
  isListOfNames,
  limitMax,
  type WrongEntry,
  wrongEntry as wrong,
} from './entry-fields.ts';

export interface Tenant {
  readonly name: string;
  /** Share of the workers while requests wait, relative to other tenants. */
  readonly weight: number;
  /** Limits over all its keys; 0: none. */
  readonly inFlightMax: number;
  readonly requestsPerMinuteMax: number;
  readonly tokensPerMinuteMax: number;
  /** Models that its keys may use; null: all. */
  readonly models: readonly string[] | null;
  /** Lowest and highest priority that its keys may use; null: as each key says. */
  readonly priorities: readonly [number, number] | null;
}

/** A key with what its tenant allows it. */
export interface ClientKey extends ApiKey {
  /** Null: the key is a tenant of its own. */
  readonly ofTenant: Tenant | null;
}

export type TenantResult = { readonly kind: 'tenant'; readonly tenant: Tenant } | WrongEntry;

const weightMax = 1000;

const initial: Tenant = {
  name: '',
  weight: 1,
  inFlightMax: 0,
  requestsPerMinuteMax: 0,
  tokensPerMinuteMax: 0,
  models: null,
  priorities: null,
};
const fields: readonly string[] = Object.keys(initial);

/** Fields by their name in a text. */
const options: Readonly<Record<string, 'weight' | 'inFlightMax' | 'requestsPerMinuteMax' | 'tokensPerMinuteMax'>> = {
  weight: 'weight',
  'in-flight-max': 'inFlightMax',
  'requests-per-minute-max': 'requestsPerMinuteMax',
  'tokens-per-minute-max': 'tokensPerMinuteMax',
};

/** @param value `NAME[,OPTION=VALUE]...`, or an object with fields of `Tenant` */
export function readTenant(value: unknown): TenantResult {
  if (typeof value === 'string') return readText(value);
  if (!isEntry(value)) return wrong('must be NAME[,OPTION=VALUE]... or an object with a name');
  const fault = fieldsFault(value, fields);
  if (fault !== null) return fault;
  const tenant = { ...initial, ...value } as { readonly [Field in keyof Tenant]: unknown };
  const { name, weight, models, priorities } = tenant;
  if (typeof name !== 'string' || !keyNameForm.test(name)) return wrong(`name ${keyNameRule}`, 'name');
  if (!isIntegerWithin(weight, 1, weightMax)) {
    return wrong(`weight of ${name} must be an integer from 1 to ${weightMax}`, 'weight');
  }
  for (const field of ['inFlightMax', 'requestsPerMinuteMax', 'tokensPerMinuteMax'] as const) {
    if (isIntegerWithin(tenant[field], 0, limitMax)) continue;
    return wrong(`${field} of ${name} must be an integer from 0 to ${limitMax}`, field);
  }
  if (models !== null && !isListOfNames(models)) {
    return wrong(`models of ${name} must be a list of names`, 'models');
  }
  if (priorities !== null && !isPriorityRange(priorities)) {
    return wrong(`priorities of ${name} must be the lowest and the highest, such as [0, 10]`, 'priorities');
  }
  return { kind: 'tenant', tenant: tenant as Tenant };
}

function readText(text: string): TenantResult {
  const [name = '', ...parts] = text.split(',');
  const given: Record<string, unknown> = { name };
  for (const part of parts) {
    const [option = '', value = ''] = part.split('=', 2);
    const field = options[option];
    if (field === undefined || !/^\d{1,10}$/.test(value)) {
      return wrong(`${JSON.stringify(part)} of ${name} is not OPTION=NUMBER, with ${Object.keys(options).join(', ')}`);
    }
    given[field] = Number(value);
  }
  return readTenant(given);
}

/** Null: the key may be used with these tenants. */
export function tenantFault({ name, tenant }: ApiKey, tenants: readonly Tenant[]): string | null {
  const isNamed = (wanted: string): boolean => tenants.some((one) => one.name === wanted);
  if (tenant === null) {
    if (!isNamed(name)) return null;
    return `has the key ${name} without a tenant, but a tenant has its name: give it a tenant, or another name`;
  }
  return isNamed(tenant) ? null : `has the key ${name} of the tenant ${tenant}, which is not among the tenants`;
}

/** The keys with what their tenants allow: a key can only be narrower than its tenant. */
export function clientKeys(keys: readonly ApiKey[], tenants: readonly Tenant[]): readonly ClientKey[] {
  const byName = new Map(tenants.map((tenant) => [tenant.name, tenant]));
  return keys.map((key) => {
    const tenant = key.tenant === null ? null : byName.get(key.tenant)!;
    if (tenant === null) return { ...key, ofTenant: null };
    return {
      ...key,
      ofTenant: tenant,
      models: allowedBoth(key.models, tenant.models),
      priorities: within(key.priorities, tenant.priorities),
    };
  });
}

function allowedBoth(ofKey: ApiKey['models'], ofTenant: Tenant['models']): ApiKey['models'] {
  if (ofKey === null || ofTenant === null) return ofKey ?? ofTenant;
  return ofKey.filter((model) => ofTenant.includes(model));
}

/** A key whose range is outside its tenant's gets the nearest priority of it. */
function within(ofKey: ApiKey['priorities'], ofTenant: Tenant['priorities']): ApiKey['priorities'] {
  if (ofKey === null || ofTenant === null) return ofKey ?? ofTenant;
  const [min, max] = ofTenant;
  const limited = (priority: number): number => Math.min(max, Math.max(min, priority));
  return [limited(ofKey[0]), limited(ofKey[1])];
}
