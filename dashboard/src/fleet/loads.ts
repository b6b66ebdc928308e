// Figures of a worker that several parts of the fleet view show.

import type { BarPart } from '../charts/stacked-bar.tsx';
import type { WorkerState } from '../data.ts';

export interface BlockParts {
  readonly parts: readonly BarPart[];
  readonly total: number;
}

/** The blocks of the requests in flight, by what they hold. */
export function blockParts({ load }: WorkerState): BlockParts {
  if (load === null) return { parts: [], total: 0 };
  const { promptBlocks, sharedBlocks, outputBlocks, otherRoutersBlocks } = load;
  const parts = [
    { name: 'shared prompt', value: sharedBlocks, colour: '--shared' },
    { name: 'prompt', value: promptBlocks - sharedBlocks, colour: '--prompt' },
    { name: 'output', value: outputBlocks, colour: '--output' },
    { name: 'other routers', value: otherRoutersBlocks, colour: '--others' },
  ];
  return { parts, total: promptBlocks + outputBlocks + otherRoutersBlocks };
}

/** Predicted share of the KV cache that requests in flight take; above 1 when more is booked than fits. */
export function usageOf(worker: WorkerState): number {
  const { load } = worker;
  return load === null || load.capacityBlocks === 0 ? 0 : blockParts(worker).total / load.capacityBlocks;
}

/** Slower than its pool by enough to be worth saying, and known well enough. */
export function isSlow({ speed }: WorkerState): boolean {
  return speed !== null && speed.slowness > 1.25 && speed.slownessError < 0.5;
}
