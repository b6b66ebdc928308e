// Shared by the admission tests: a router that takes the least loaded worker, and requests that share no block.

import {
  Admission,
  type Applicant,
  type Policy,
  type Prompt,
  type Routed,
  type RouteRequest,
  Router,
  type WorkerSpec,
} from '../../../src/core/index.ts';
import { hasher } from '../router-harness.ts';

export const blockSize = 4;

/** Chooses the first worker with the fewest active blocks. */
const leastBlocks: Policy<null> = {
  name: 'least-blocks',
  monotone: true,
  usesOverlap: false,
  init: () => null,
  choose(_request, { count, activeBlocks }) {
    let position = 0;
    for (let i = 1; i < count; i++) if (activeBlocks[i]! < activeBlocks[position]!) position = i;
    return { position, reason: 'cost' };
  },
};

let tokenId = 0;

/**
 * A prompt of this many full blocks that it shares with no other prompt.
 * @param blockTokens as estimated for blocks that were cut from bytes
 */
export function ownPrompt(blocks: number, blockTokens: number = blockSize): Prompt {
  const tokens = Uint32Array.from({ length: blocks * blockSize }, () => tokenId++);
  return { isl: blocks * blockTokens, hashes: [{ ...hasher.hash(tokens, blockSize), blockTokens }] };
}

export interface Named extends Applicant {
  readonly name: number;
}

export function applicant(
  name: number,
  blocks: number,
  more: { priority?: number; lane?: string } & Partial<RouteRequest> = {},
): Named {
  const { priority = 0, lane = '', ...rest } = more;
  const request: RouteRequest = { prompts: [ownPrompt(blocks)], ...rest };
  return { name, priority, lane, request: () => request };
}

export interface AdmissionHarness {
  readonly router: Router;
  readonly admission: Admission<Named>;
  /** Routed requests by name. */
  readonly live: Map<number, Routed>;
  /** @returns the worker, or why there is none */
  enter(one: Named, nowMs?: number): number | string;
  /** @returns name and worker of each that was placed; null: refused */
  drain(nowMs?: number): [name: number, worker: number | null][];
  release(name: number, nowMs?: number): void;
}

export function harnessOf(
  workers: readonly (Partial<WorkerSpec> & Pick<WorkerSpec, 'capacityBlocks'>)[],
  waitingMax = 100,
  onRoomChange: () => void = () => undefined,
  tenantReserveMs = 0,
): AdmissionHarness {
  const router = new Router({ policy: leastBlocks, seed: 1, onRoomChange });
  for (const [index, spec] of workers.entries()) {
    router.addWorker({ id: `w${index}`, blockSize, source: 'events', ...spec });
  }
  const admission = new Admission<Named>(router, { waitingMax, tenantReserveMs });
  const live = new Map<number, Routed>();
  return {
    router,
    admission,
    live,
    enter(one, nowMs = 0) {
      const entry = admission.enter(one, nowMs);
      if (entry.kind === 'refused') return entry.reason;
      if (entry.kind !== 'routed') return entry.kind;
      live.set(one.name, entry);
      return entry.decision.worker;
    },
    drain: (nowMs = 0) =>
      admission.drain(nowMs).map(({ applicant: { name }, outcome }) => {
        if (outcome.kind === 'failed') throw outcome.error;
        if (outcome.kind === 'refused') return [name, null];
        live.set(name, outcome);
        return [name, outcome.decision.worker];
      }),
    release(name, nowMs = 0) {
      for (const booking of live.get(name)!.bookings) router.release(booking, 'done', nowMs);
      live.delete(name);
    },
  };
}
