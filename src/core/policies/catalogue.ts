// The policies by name. To add one, write its file and add one line here.

import type { Policy } from '../choice/policy.ts';
import { leastRequests, powerOfTwo, randomPolicy, roundRobin } from './baselines.ts';
import { dynamo } from './dynamo.ts';
import { foresee } from './foresee.ts';
import { kv } from './kv.ts';
import { leastPrefillWork, maxPrefix } from './least-prefill.ts';
import { lmetric } from './lmetric.ts';
import { marginalCost } from './marginal-cost.ts';
import { prefixHash } from './prefix-hash.ts';
import { sglangCacheAware } from './sglang-cache-aware.ts';
import { stickyTokenLoad } from './sticky-token-load.ts';
import { whatIf } from './what-if.ts';

/** Policies that need only what a router knows. */
const servable = {
  foresee,
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
};

/** All policies, including those that need the engines' speed and a control that is not for production. */
const all = { ...servable, 'what-if': whatIf, 'marginal-cost': marginalCost, 'max-prefix': maxPrefix };

export type PolicyName = keyof typeof servable;
export type LabPolicyName = keyof typeof all;

export const policyNames = Object.keys(servable) as readonly PolicyName[];
export const labPolicyNames = Object.keys(all) as readonly LabPolicyName[];

/** The options of each policy; undefined: it has none. */
export type PolicyOptions = { readonly [Name in LabPolicyName]: Parameters<(typeof all)[Name]>[0] };

const factories: { readonly [Name in LabPolicyName]: (options?: PolicyOptions[Name]) => Policy } = all;

/** @param options default: the policy's defaults */
export function createPolicy<Name extends LabPolicyName>(name: Name, options?: PolicyOptions[Name]): Policy {
  return factories[name](options);
}
