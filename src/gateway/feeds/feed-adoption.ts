// Takes over from another replica what a publisher's batches have told so far: for a feed that has missed some.
//
// Live batches wait meanwhile, so those after the copy's last one follow without a gap, and those before it are known
// by their numbers. Fingerprints of the latest batches show whether both mean the same publisher.

import { applyInParts } from './event-parts.ts';
import type { FeedListener } from './feed-listener.ts';
import type { FeedMemory } from './feed-memory.ts';
import type { FeedSequence } from './feed-sequence.ts';
import type { IntakeBudget } from './intake-budget.ts';
import type { PeerCopy } from './peer-copy.ts';

/** Pause after an attempt without a copy; doubles each time. */
const pauseMsMin = 1000;
const pauseMsMax = 60_000;

export interface AdoptionContext {
  readonly budget: IntakeBudget;
  readonly signal: AbortSignal;
  readonly listener: Pick<FeedListener, 'copy' | 'broken' | 'event'>;
}

export class FeedAdoption {
  readonly #sequence: FeedSequence;
  readonly #memory: FeedMemory;
  readonly #context: AdoptionContext;
  #notBeforeMs = 0;
  #pauseMs = pauseMsMin;

  constructor(sequence: FeedSequence, memory: FeedMemory, context: AdoptionContext) {
    this.#sequence = sequence;
    this.#memory = memory;
    this.#context = context;
  }

  get isDue(): boolean {
    return performance.now() >= this.#notBeforeMs;
  }

  /**
   * @param seqMin the last batch that must be known afterwards
   * @returns `whole`: all batches up to the sequence's last are known. `none`: nothing has changed. `lost`: the copy
   * broke off, and the publisher's blocks are forgotten
   */
  async run(seqMin: number): Promise<'whole' | 'none' | 'lost'> {
    const { signal, listener } = this.#context;
    this.#notBeforeMs = performance.now() + this.#pauseMs;
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMsMax);
    const copy = await listener.copy?.(seqMin, signal);
    if (copy === null || copy === undefined || signal.aborted) return 'none';
    // Older than what is known, or of another process of the engine.
    if (copy.seq < Math.max(seqMin, this.#sequence.last) || !this.#memory.agrees(copy.prints)) return 'none';
    listener.broken('copied');
    if (!(await this.#apply(copy))) {
      listener.broken('copied');
      return 'lost';
    }
    this.#sequence.adopt(copy.seq);
    this.#memory.adopt(copy.prints);
    this.#notBeforeMs = 0;
    this.#pauseMs = pauseMsMin;
    return 'whole';
  }

  async #apply(copy: PeerCopy): Promise<boolean> {
    const { budget, signal, listener } = this.#context;
    for await (const piece of copy.pieces()) {
      if (piece === null || signal.aborted) return false;
      await applyInParts(piece, budget, signal, (part) => listener.event(part));
      if (signal.aborted) return false;
    }
    return true;
  }
}
