// Options of a router.

import type { BlockHasher } from './blocks/block-hash.ts';
import type { LateBindingOptions } from './choice/late-binding.ts';
import type { Policy } from './choice/policy.ts';

export interface RouterOptions {
  readonly policy: Policy;
  readonly seed: number;
  /** Count the blocks of requests in flight as overlap before the engine announces them. Default true. */
  readonly inFlightCredit?: boolean;
  /**
   * When the load is counted: at the choice, at the first token, or when `count` is called (`told`). The last two exist
   * to measure the cost of late booking. Default `choice`.
   */
  readonly bookAt?: 'choice' | 'first-token' | 'told';
  /** Whether `plan` plans requests that arrive together. Default: as the policy says (`Policy.bursts`). */
  readonly joint?: boolean;
  /** Makes `admit` hold requests that no worker could start soon (see late-binding.ts). Default: off. */
  readonly lateBinding?: LateBindingOptions;
  /** May be shared within one thread. Default: a new one. */
  readonly hasher?: BlockHasher;
  /**
   * Called synchronously when a request that `admit` held may have become placeable or impossible to place: blocks were
   * freed, or a worker, its state, capacity or limit changed. Must not call the router.
   */
  readonly onRoomChange?: () => void;
}
