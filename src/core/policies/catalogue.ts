// Catalogue of the policies by name.

import type { Policy } from '../choice/policy.ts';
import { leastRequests, powerOfTwo, randomPolicy, roundRobin } from './baselines.ts';
import { type DynamoOptions, dynamo } from './dynamo.ts';
import { type KvOptions, kv } from './kv.ts';
import { leastPrefillWork, maxPrefix } from './least-prefill.ts';
import { lmetric } from './lmetric.ts';
import { type MarginalCostOptions, marginalCost } from './marginal-cost.ts';
import { type PrefixHashOptions, prefixHash } from './prefix-hash.ts';
import { type SglangCacheAwareOptions, sglangCacheAware } from './sglang-cache-aware.ts';
import { type StickyTokenLoadOptions, stickyTokenLoad } from './sticky-token-load.ts';
import { type WhatIfOptions, whatIf } from './what-if.ts';

/** Policies that need only what a router knows. */
export const policyNames = [
  'kv',
  'round-robin',
  'random',
  'least-requests',
  'power-of-two',
  'prefix-hash',
  'sglang-cache-aware',
  'dynamo',
  'lmetric',
  'lpwl',
  'sticky-token-load',
] as const;

export type PolicyName = (typeof policyNames)[number];

export type LabPolicyName = PolicyName | 'what-if' | 'marginal-cost' | 'max-prefix';

/** All policies, including those that need the engines' speed and a control that is not for production. */
export const labPolicyNames: readonly LabPolicyName[] = [...policyNames, 'what-if', 'marginal-cost', 'max-prefix'];

/** Options of each policy. Undefined if it has none. */
export interface PolicyOptions {
  readonly kv: KvOptions;
  readonly 'round-robin': undefined;
  readonly random: undefined;
  readonly 'least-requests': undefined;
  readonly 'power-of-two': undefined;
  readonly 'prefix-hash': PrefixHashOptions;
  readonly 'sglang-cache-aware': SglangCacheAwareOptions;
  readonly dynamo: DynamoOptions;
  readonly lmetric: undefined;
  readonly lpwl: undefined;
  readonly 'sticky-token-load': StickyTokenLoadOptions;
  readonly 'what-if': WhatIfOptions;
  readonly 'marginal-cost': MarginalCostOptions;
  readonly 'max-prefix': undefined;
}

const factories: { readonly [Name in LabPolicyName]: (options?: PolicyOptions[Name]) => Policy } = {
  kv,
  'round-robin': roundRobin,
  random: randomPolicy,
  'least-requests': leastRequests,
  'power-of-two': powerOfTwo,
  'prefix-hash': prefixHash,
  'sglang-cache-aware': sglangCacheAware,
  dynamo,
  lmetric,
  lpwl: leastPrefillWork,
  'sticky-token-load': stickyTokenLoad,
  'what-if': whatIf,
  'marginal-cost': marginalCost,
  'max-prefix': maxPrefix,
};

/** @param options default: the policy's defaults */
export function createPolicy<Name extends LabPolicyName>(name: Name, options?: PolicyOptions[Name]): Policy {
  return factories[name](options);
}
