// Shared by the router's tests: a router with workers, prompts from token lists, events for cached blocks.

import {
  BlockHasher,
  createPolicy,
  type KvEvent,
  type KvOptions,
  type Policy,
  type Prompt,
  type Routed,
  type RouteRequest,
  Router,
  type RouterOptions,
  type WorkerSpec,
} from '../../src/core/index.ts';

export const hasher: BlockHasher = new BlockHasher();

export function promptOf(tokens: readonly number[], ...blockSizes: number[]): Prompt {
  const ids = Uint32Array.from(tokens);
  return { isl: tokens.length, hashes: blockSizes.map((size) => hasher.hash(ids, size)) };
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** An engine's store event for the full blocks of `tokens`, with its own handles. */
export function announced(tokens: readonly number[], blockSize: number): KvEvent {
  const hashes = hasher.hash(Uint32Array.from(tokens), blockSize);
  return {
    kind: 'stored',
    hashes: hashes.sequence.map((word) => word ^ 0x5bd1e995),
    parent: null,
    tokens: Uint32Array.from(tokens.slice(0, hashes.count * blockSize)),
    blockSize,
    lora: null,
    salt: null,
    extras: null,
  };
}

export interface Harness {
  readonly router: Router;
  /** Routes one prompt of these tokens; throws if refused. */
  route(tokens: readonly number[], request?: Partial<RouteRequest>, nowMs?: number): Routed;
}

export function routerOf(
  workerCount: number,
  options: Partial<RouterOptions> & Partial<Omit<WorkerSpec, 'id'>> & { policyOptions?: KvOptions } = {},
): Harness {
  const { blockSize = 4, capacityBlocks = 1000, source = 'events', policyOptions, ...rest } = options;
  const policy: Policy = rest.policy ?? createPolicy('kv', policyOptions);
  const router = new Router({ seed: 1, ...rest, policy });
  for (let i = 0; i < workerCount; i++) router.addWorker({ id: `w${i}`, blockSize, capacityBlocks, source });
  return {
    router,
    route(tokens, request = {}, nowMs = 0) {
      const routed = router.route({ prompts: [promptOf(tokens, ...router.blockSizes())], ...request }, nowMs);
      if (routed.kind === 'refused') throw new Error(routed.reason);
      return routed;
    },
  };
}
