// The lab's decisions compared with a router that is called directly, with tokens instead of content ids.

import { describe, expect, it } from 'vitest';
import {
  BlockHasher,
  type CandidateCost,
  createPolicy,
  type Decision,
  type LabPolicyName,
  Router,
} from '../../src/core/index.ts';
import { parsePolicySpec, runSpecDefaults, simulate } from '../../src/lab/index.ts';
import type { Workload, WorkloadRequest } from '../../src/trace/workload.ts';
import { type SmallRequest, workloadOf } from './workloads.ts';

const workers = 4;
const blockSize = 16;

/** Every content id stands for its own 16 tokens; all other tokens are unique. */
function tokensOf({ isl, blockIds }: WorkloadRequest, index: number): Uint32Array {
  return Uint32Array.from({ length: isl }, (_, token) => {
    const block = Math.floor(token / 16);
    return block < blockIds.length ? 1000 * (blockIds[block]! + 1) + (token % 16) : 1e6 * (index + 1) + token;
  });
}

function byHand(name: LabPolicyName, { requests }: Workload, sequential: boolean): Decision[] {
  const hasher = new BlockHasher();
  const router = new Router({ policy: createPolicy(name), seed: 7, hasher });
  for (let worker = 0; worker < workers; worker++) {
    router.addWorker({ id: `${worker}`, blockSize, capacityBlocks: 11_625, source: 'events' });
  }
  return requests.map((request, index) => {
    const nowMs = request.arrivalMs;
    const tokens = tokensOf(request, index);
    const hashes = hasher.hash(tokens, blockSize);
    const routed = router.route({ prompts: [{ isl: request.isl, hashes: [hashes] }] }, nowMs);
    if (routed.kind === 'refused') throw new Error(routed.reason);
    if (sequential) {
      const booking = routed.bookings[0]!;
      const full = tokens.subarray(0, hashes.count * blockSize);
      const stored = { kind: 'stored', parent: null, lora: null, salt: null, extras: null, blockSize } as const;
      // Further copies of held blocks change no overlap.
      router.applyKvEvent(routed.decision.worker, { ...stored, hashes: hashes.sequence, tokens: full }, nowMs + 200);
      router.firstToken(booking, nowMs + 200);
      for (let token = 0; token < request.osl; token++) router.outputTokens(booking, 1, nowMs + 200 + token * 20);
      router.release(booking, 'done', nowMs + 1000);
    }
    return routed.decision;
  });
}

function byLab(name: LabPolicyName, workload: Workload): Decision[] {
  const decisions: Decision[] = [];
  const spec = { ...runSpecDefaults, policy: parsePolicySpec(name), workers, seed: 7 };
  simulate(workload, spec, {}, { onDecision: (request, decision) => (decisions[request] = decision) });
  return decisions;
}

/** Without the columns that the speed model predicts: it learns from step times, which the calls by hand do not imitate. */
function learntNothing(candidate: CandidateCost): Partial<CandidateCost> {
  const { prefillMs, backlogMs, ttftMs, tpotMs, slowness, ...told } = candidate;
  return told;
}

const shown = (decision: Decision) => ({
  worker: decision.worker,
  reason: decision.reason,
  overlapTokens: decision.overlapTokens,
  candidates: decision.candidates().map(learntNothing),
});

const groups = Array.from({ length: 48 }, (_, index): SmallRequest => {
  const group = (index * 7) % 5;
  const ids = Array.from({ length: 8 + (index % 3) }, (_unused, block) => group * 100 + block);
  return { atMs: 0, isl: 16 * ids.length + 5 + ((index * 13) % 40), osl: 1 + (index % 9), ids };
});

describe.each(['kv', 'lmetric', 'lpwl', 'round-robin', 'random', 'power-of-two'] as const)('%s', (name) => {
  it('makes the same decisions on a sequential trace', () => {
    const workload = workloadOf(groups.map((request, index) => ({ ...request, atMs: index * 3000 })));
    expect(byLab(name, workload).map(shown)).toEqual(byHand(name, workload, true).map(shown));
  });

  it('makes the same decisions on a burst before the first event', () => {
    const workload = workloadOf(groups);
    expect(byLab(name, workload).map(shown)).toEqual(byHand(name, workload, false).map(shown));
  });
});
