// Small workloads for the tests of the lab.

import { noBlocks, orderedWorkload, type Workload, type WorkloadRequest } from '../../src/trace/workload.ts';

export interface SmallRequest {
  readonly atMs: number;
  readonly isl: number;
  readonly osl: number;
  readonly ids?: readonly number[];
  readonly after?: WorkloadRequest['after'];
}

export function workloadOf(
  requests: readonly SmallRequest[],
  more: Partial<Pick<Workload, 'contentBlockTokens' | 'concurrencyMax'>> = {},
): Workload {
  const ids = requests.flatMap((request) => request.ids ?? []);
  return orderedWorkload({
    name: 'small',
    contentBlockTokens: 16,
    blockIdCount: Math.max(0, ...ids.map((id) => id + 1)),
    notes: [],
    ...more,
    requests: requests.map(({ atMs, isl, osl, ids: blockIds, after }) => ({
      arrivalMs: atMs,
      isl,
      osl,
      blockIds: blockIds === undefined ? noBlocks : Int32Array.from(blockIds),
      ...(after === undefined ? {} : { after }),
    })),
  });
}
