// The policies by name.

import type { Policy } from '../policy.ts';
import { leastRequests, powerOfTwo, randomPolicy, roundRobin } from './baselines.ts';
import { type KvOptions, kv } from './kv.ts';

export const policyNames = ['kv', 'round-robin', 'random', 'least-requests', 'power-of-two'] as const;

export type PolicyName = (typeof policyNames)[number];

/** @param options of `kv`; the others have none */
export function createPolicy(name: PolicyName, options: KvOptions = {}): Policy {
  switch (name) {
    case 'kv':
      return kv(options) as Policy;
    case 'round-robin':
      return roundRobin() as Policy;
    case 'random':
      return randomPolicy() as Policy;
    case 'least-requests':
      return leastRequests() as Policy;
    case 'power-of-two':
      return powerOfTwo() as Policy;
  }
}
