// What can be set about a router.

import type { BlockHasher } from './blocks/block-hash.ts';
import type { Policy } from './choice/policy.ts';

export interface RouterOptions {
  readonly policy: Policy;
  readonly seed: number;
  /** Blocks promised by requests in flight count as overlap before the engine announces them. Default true. */
  readonly inFlightCredit?: boolean;
  /**
   * When the load is counted. The others exist to show what late booking costs: `first-token`, or `told`, when `count`
   * is called. Default `choice`.
   */
  readonly bookAt?: 'choice' | 'first-token' | 'told';
  /** Shared with others of the same thread; default: one of its own. */
  readonly hasher?: BlockHasher;
  /**
   * Called in the step in which a request that `admit` held may have become placeable, or impossible to place: blocks
   * were set free, or a worker, its state, capacity or limit has changed. It must not call the router in that step.
   */
  readonly onRoomChange?: () => void;
}
