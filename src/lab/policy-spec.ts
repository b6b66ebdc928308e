// Policy spec: text form of a policy, its options and the conditions of its router.

import {
  createPolicy,
  type EngineModel,
  type LabPolicyName,
  type LateBindingOptions,
  labPolicyNames,
  type Policy,
  type PolicyOptions,
  tenantReserveSDefault,
} from '../core/index.ts';
import { oneRouter, type RoutersSpec, routersKeys, withSetting } from './routers-spec.ts';

export interface PolicySpec {
  /** As written: `kv`, `kv:form=1731:temperature=0.5`, `kv:credit=off`. */
  readonly text: string;
  readonly name: LabPolicyName;
  /** Options of the policy itself. */
  readonly options: Readonly<Record<string, number | string>>;
  readonly inFlightCredit: boolean;
  /** Delay from the end of an engine's step to the arrival of its KV events at the router. */
  readonly eventDelayMs: number;
  /** Delay from reading the loads to booking. The request is sent when it is booked. */
  readonly bookDelayMs: number;
  /**
   * Requests that may wait at the router while all workers are full; further ones are refused. Null: no admission
   * queue.
   */
  readonly queuedMax: number | null;
  /** Seconds for which the queue keeps workers free for a tenant after its last request. 0: none. */
  readonly tenantReserveS: number;
  /** Late binding, with an unlimited queue unless `queuedMax` is set. Null: off. */
  readonly lateBinding: LateBindingOptions | null;
  /** Whether requests that arrive at the same time are planned together. Null: as the policy does by itself. */
  readonly joint: boolean | null;
  /** Whether KV events reach the router. Without them it assumes an LRU cache of its own decisions. */
  readonly kvEvents: boolean;
  /** Only for policies that predict with the engines' speed: whether they know the true speeds of this run. */
  readonly told: boolean;
  /** What the router does with a worker that slows down. `drained`: sends it nothing until it has recovered. */
  readonly slowWorker: 'kept' | 'drained';
  readonly routers: RoutersSpec;
}

type Settable = Readonly<Record<string, 'number' | readonly string[]>>;

const onOff: readonly string[] = ['on', 'off'];

/** Options of the policies that have any: a number from 0 up, or one of several words. */
const settable: Readonly<Partial<Record<LabPolicyName, Settable>>> = {
  foresee: { share: onOff, backlogWeight: onOff, blocks: onOff, requests: onOff, capacity: onOff, slowness: onOff },
  kv: { overlapWeight: 'number', temperature: 'number', form: ['1895', '1731'] },
  'prefix-hash': { prefixTokens: 'number', nodesPerWorker: 'number', loadBound: 'number', loadSlack: 'number' },
  'sglang-cache-aware': {
    defaults: ['cli', 'library'],
    cacheThreshold: 'number',
    balanceAbs: 'number',
    balanceRel: 'number',
    treeTokensMax: 'number',
    evictionIntervalMs: 'number',
    missRule: ['least-requests', 'smallest-tree'],
  },
  dynamo: { overlapCredit: 'number', prefillScale: 'number', activeRequestWeight: 'number' },
  'sticky-token-load': { warmMatchMin: 'number', prefillGapTokensMax: 'number' },
  'marginal-cost': { recomputeWeight: 'number', decodeWeight: 'number' },
};

const delayMsMax = 3_600_000;
const queuedMaxMax = 1e9;
const tenantReserveSMax = 3600;

/** @throws RangeError saying what is wrong with the text */
export function parsePolicySpec(text: string): PolicySpec {
  const [head = '', ...settings] = text.split(':');
  const name = labPolicyNames.find((candidate) => candidate === head);
  if (name === undefined) {
    throw new RangeError(`policy ${JSON.stringify(head)} is none of ${labPolicyNames.join(', ')}`);
  }
  const options: Record<string, number | string> = {};
  let inFlightCredit = true;
  let eventDelayMs = 0;
  let bookDelayMs = 0;
  let queuedMax: number | null = null;
  let tenantReserveS = tenantReserveSDefault;
  let joint: boolean | null = null;
  let lateBinding: LateBindingOptions | null = null;
  let kvEvents = true;
  let told = false;
  let slowWorker: PolicySpec['slowWorker'] = 'kept';
  let routers = oneRouter;
  for (const setting of settings) {
    const [key = '', value = ''] = setting.split('=', 2);
    const shared = withSetting(routers, key, {
      amount: (max) => amount(text, key, value, max),
      word: (words) => oneOf(text, key, value, words),
    });
    if (shared !== null) routers = shared;
    else if (key === 'credit') inFlightCredit = oneOf(text, key, value, ['on', 'off']) === 'on';
    else if (key === 'event-delay-ms') eventDelayMs = amount(text, key, value, delayMsMax);
    else if (key === 'book-delay-ms') bookDelayMs = amount(text, key, value, delayMsMax);
    else if (key === 'joint') joint = oneOf(text, key, value, ['on', 'off']) === 'on';
    else if (key === 'late-binding') lateBinding = oneOf(text, key, value, ['on', 'off']) === 'on' ? {} : null;
    else if (key === 'late-binding-ms')
      lateBinding = { ...(lateBinding ?? {}), backlogMsMax: amount(text, key, value, delayMsMax) };
    else if (key === 'late-binding-wrong-by')
      lateBinding = { ...(lateBinding ?? {}), wrongBy: amount(text, key, value, 1000) };
    else if (key === 'queue') queuedMax = amount(text, key, value, queuedMaxMax);
    else if (key === 'events') kvEvents = oneOf(text, key, value, ['kv', 'none']) === 'kv';
    else if (key === 'told' && isPredicting(name)) told = oneOf(text, key, value, ['on', 'off']) === 'on';
    else if (key === 'tenant-reserve-s') tenantReserveS = amount(text, key, value, tenantReserveSMax);
    else if (key === 'slow-worker') slowWorker = oneOf(text, key, value, ['kept', 'drained']);
    else options[camelCase(key)] = option(text, name, key, value);
  }
  return {
    text,
    name,
    options,
    inFlightCredit,
    eventDelayMs,
    bookDelayMs,
    queuedMax,
    tenantReserveS,
    joint,
    lateBinding,
    kvEvents,
    told,
    slowWorker,
    routers,
  };
}

/** Input of a policy that predicts with the engines' speed. */
export interface ToldSpeeds {
  /** By worker, relative to `engine`. The policy reads it at each choice. */
  readonly speeds: readonly number[];
  /** Undefined: the policy's own default. */
  readonly engine: EngineModel | undefined;
}

/** Creates the policy. @param speeds for policies that need them */
export function policyOf({ name, options }: PolicySpec, { speeds, engine }: ToldSpeeds): Policy {
  const known = { ...options, speeds, ...(engine === undefined ? {} : { engine }) };
  // `parsePolicySpec` has checked every option against `settable`.
  return createPolicy(name, (isPredicting(name) ? known : options) as PolicyOptions[typeof name]);
}

const isPredicting = (name: LabPolicyName): boolean => name === 'what-if' || name === 'marginal-cost';

function option(text: string, name: LabPolicyName, key: string, value: string): number | string {
  const options = settable[name] ?? {};
  const kind = options[camelCase(key)];
  if (kind === undefined) {
    const own = Object.keys(options).map(kebabCase);
    const all = [...own, ...(isPredicting(name) ? ['told'] : []), ...conditions];
    throw new RangeError(`policy ${text}: ${JSON.stringify(key)} is none of ${all.join(', ')}`);
  }
  return kind === 'number' ? amount(text, key, value, Number.MAX_VALUE) : oneOf(text, key, value, kind);
}

const conditions: readonly string[] = [
  'credit',
  'events',
  'event-delay-ms',
  'book-delay-ms',
  'queue',
  'tenant-reserve-s',
  'joint',
  'late-binding',
  'late-binding-ms',
  'late-binding-wrong-by',
  'slow-worker',
  ...routersKeys,
];

function amount(text: string, key: string, value: string, max: number): number {
  const number = Number(value);
  if (value.trim() !== '' && number >= 0 && number <= max) return number;
  throw new RangeError(`policy ${text}: ${key} is a number from 0 up, not ${JSON.stringify(value)}`);
}

function oneOf<Word extends string>(text: string, key: string, value: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new RangeError(`policy ${text}: ${key} is one of ${words.join(', ')}, not ${JSON.stringify(value)}`);
}

function camelCase(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function kebabCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
