// Reads the events of one batch in order, and yields to other work between them.

import type { BlocksRemoved, BlocksStored, KvEvent } from '../../core/index.ts';
import {
  type KvBatchHead,
  KvBatchReader,
  type KvEventDecoder,
  ownCopy,
  type SkipReason,
} from '../../wire/kv-events.ts';
import { applyInParts, partBlocksMax } from './event-parts.ts';
import type { IntakeBudget } from './intake-budget.ts';

/** Payload items checked between two looks at the clock: well under a millisecond. */
const itemsPerLookMax = 16_384;
/** Unreadable events per batch; then the rest of the batch is skipped. */
const malformedEventsMax = 8;
/** Removals applied as one: some tenths of a microsecond each. */
const joinedMax = 255;

export interface BatchListener {
  readonly signal: AbortSignal;
  unreadable(): void;
  head(head: KvBatchHead): void;
  event(event: KvEvent): void;
  skipped(reason: SkipReason): void;
}

export interface BatchCommons {
  readonly budget: IntakeBudget;
  readonly decoder: KvEventDecoder;
}

/** A large payload is checked in pieces, too. */
export async function readBatch(payload: Uint8Array, commons: BatchCommons, listener: BatchListener): Promise<void> {
  const { budget, decoder } = commons;
  const reader = new KvBatchReader(payload, decoder);
  let head = reader.open(itemsPerLookMax);
  while (head === null) {
    if (budget.spent) await budget.nextTurn();
    head = reader.open(itemsPerLookMax);
  }
  if (head.kind === 'failed') {
    listener.unreadable();
    return;
  }
  listener.head(head);
  let malformed = 0;
  for (let event = reader.next(joinedMax); event !== null; event = reader.next(joinedMax)) {
    if (listener.signal.aborted) return;
    if (typeof event === 'string') {
      listener.skipped(event);
      // Each one discards what came before it, so the rest of the batch is skipped.
      if (event === 'malformed' && ++malformed >= malformedEventsMax) return;
    } else {
      if (isLong(event)) {
        // Other feeds use the decoder between two parts.
        await applyInParts(ownCopy(event) as Blocks, budget, listener.signal, (part) => listener.event(part));
      } else listener.event(event);
    }
    if (budget.spent) await budget.nextTurn();
  }
}

type Blocks = BlocksStored | BlocksRemoved;

function isLong(event: KvEvent): event is Blocks {
  return event.kind !== 'cleared' && event.hashes.length > 2 * partBlocksMax;
}
