// How right the predictions were for each worker since it joined.

import type { Engine, Worker } from '../engines/engine.ts';
import { trustStateOf } from './decision-view.ts';
import { orNull } from './series-ring.ts';
import type { CanaryState, WorkerTruth } from './truth-data.ts';

const proofWords: Readonly<Record<string, string>> = {
  'token-count': 'it counts the same tokens as the router',
  usage: 'it found the same prompt in its cache',
  counters: 'its own counters show the cache hit',
  events: "its KV events announced the prompt's blocks",
};

/** @param nowMs on the routers' clock. O(workers) */
export function truthOf(engines: readonly Engine[], nowMs: number): WorkerTruth[] {
  return engines.flatMap(({ workers }) => workers.map((worker) => workerTruth(worker, nowMs)));
}

function workerTruth(worker: Worker, nowMs: number): WorkerTruth {
  const { id, account, membership } = worker;
  const speed = membership === null ? null : membership.router.speedOf(membership.index, nowMs);
  return {
    worker: id,
    trust: trustStateOf(worker.trust(nowMs)),
    canary: canaryOf(worker),
    ...account.tokens,
    ...account.checks,
    tokenMismatches: account.tokenMismatches,
    ttftErrorShare: share(speed?.ttftErrorShare ?? null),
    ttftBiasShare: share(speed?.ttftBiasShare ?? null),
  };
}

function canaryOf({ canary }: Worker): CanaryState | null {
  if (canary === null) return null;
  const { timeMs, state } = canary;
  return canary.state === 'inconclusive'
    ? { timeMs, state, proofs: [], reason: canary.reason }
    : { timeMs, state, proofs: canary.proofs.map((proof) => proofWords[proof] ?? proof), reason: null };
}

function share(value: number | null): number | null {
  return value === null ? null : orNull(value);
}
