// Cuts an event of very many blocks into parts, so that other work can run between them.

import type { BlocksRemoved, BlocksStored } from '../../core/index.ts';
import type { IntakeBudget } from './intake-budget.ts';

/** Blocks of a part: well under a millisecond. */
export const partBlocksMax = 1024;

/**
 * The parts mean the same as the event in one piece: each begins where the one before ended.
 * @param event its hashes are the handles that the index knows
 */
export function* partsOf<E extends BlocksStored | BlocksRemoved>(event: E, blocksMax = partBlocksMax): Generator<E> {
  const blocks = event.hashes.length / 2;
  for (let from = 0; from < blocks; from += blocksMax) {
    const to = Math.min(from + blocksMax, blocks);
    const hashes = event.hashes.subarray(2 * from, 2 * to);
    yield event.kind === 'stored' ? { ...event, hashes, ...storedPart(event, from, to) } : { ...event, hashes };
  }
}

/**
 * Applies an event part by part, within the budget of each turn; ends early at the signal.
 * @param event must not change meanwhile
 */
export async function applyInParts(
  event: BlocksStored | BlocksRemoved,
  budget: IntakeBudget,
  signal: AbortSignal,
  apply: (part: BlocksStored | BlocksRemoved) => void,
): Promise<void> {
  for (const part of partsOf(event)) {
    if (budget.spent) await budget.nextTurn();
    if (signal.aborted) return;
    apply(part);
  }
}

function storedPart(event: BlocksStored, from: number, to: number): Partial<BlocksStored> {
  const { hashes, parent, tokens, blockSize, extras, sequence } = event;
  if (sequence !== undefined) return { sequence: sequence.subarray(2 * from, 2 * to) };
  return {
    parent: from === 0 ? parent : hashes.subarray(2 * from - 2, 2 * from),
    tokens: tokens.subarray(from * blockSize, to * blockSize),
    extras: extras?.slice(from, to) ?? null,
  };
}
