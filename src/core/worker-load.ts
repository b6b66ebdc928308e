// Snapshot of one worker's load.

import type { HeldBlocks } from './held/held-blocks.ts';
import type { SpeedModel } from './ledger/speed-model.ts';
import type { WorkerTable } from './ledger/worker-table.ts';
import type { WorkerIndex, WorkerLoad } from './types.ts';

export interface LoadSources {
  readonly workers: WorkerTable;
  readonly held: HeldBlocks;
  readonly speed: SpeedModel;
}

/** O(1) */
export function readLoad({ workers, held, speed }: LoadSources, worker: WorkerIndex): WorkerLoad {
  workers.assertLive(worker);
  const runningRequestsMax = workers.runningRequestsMax[worker]!;
  return {
    index: worker,
    id: workers.id(worker),
    incarnation: workers.incarnation[worker]!,
    viewEpoch: workers.viewEpoch[worker]!,
    routable: workers.routable[worker] === 1,
    blockSize: workers.blockSize[worker]!,
    capacityBlocks: workers.capacityBlocks[worker]!,
    capacityKnown: Number.isFinite(workers.knownCapacityBlocks[worker]),
    runningRequestsMax: Number.isFinite(runningRequestsMax) ? runningRequestsMax : null,
    source: workers.source(worker),
    activeBlocks: workers.activeBlocks[worker]!,
    ownBlocks: workers.ownBlocks[worker]!,
    activePrefillTokens: workers.activePrefillTokens[worker]!,
    runningRequests: workers.runningRequests[worker]!,
    othersBlocks: workers.othersBlocks(worker),
    commonBlocks: Math.max(0, workers.commonBlocks[worker]!),
    othersPrefillTokens: workers.othersPrefillTokens[worker]!,
    othersRequests: workers.othersRequests[worker]!,
    heldBlocks: held.index.heldBlocks(worker),
    prefillTokensPerS: speed.prefillTokensPerS(worker),
    tokenGapMs: speed.tokenGapMs(worker),
    eventLagMs: held.announcements.lag.lagMs(worker),
  };
}
