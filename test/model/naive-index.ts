// Naive twin of the prefix index: for each worker a multiset of blocks, each block as the text of its chain.

import type { KvEvent } from '../../src/core/index.ts';

interface NaiveWorker {
  /** Handle -> its block (as the text of its whole chain) and the number of copies. */
  handles: Map<string, { chain: string; copies: number }>;
}

export class NaiveIndex {
  readonly #workers = new Map<number, NaiveWorker>();

  apply(worker: number, event: KvEvent): void {
    const held = this.#of(worker);
    switch (event.kind) {
      case 'cleared':
        held.handles.clear();
        return;
      case 'removed':
        for (const handle of handlesOf(event.hashes)) {
          const entry = held.handles.get(handle);
          if (!entry) continue;
          if (--entry.copies === 0) held.handles.delete(handle);
        }
        return;
      case 'stored': {
        let chain = `${event.blockSize}|${event.lora ?? ''}|${event.salt ?? ''}`;
        if (event.parent) {
          const parent = held.handles.get(handlesOf(event.parent)[0]!);
          if (!parent) return;
          chain = parent.chain;
        }
        const handles = handlesOf(event.hashes);
        for (const [block, handle] of handles.entries()) {
          const tokens = event.tokens.subarray(block * event.blockSize, (block + 1) * event.blockSize);
          if (tokens.length < event.blockSize) return;
          chain += `/${event.extras?.[block] ?? ''}:${tokens.join(',')}`;
          const entry = held.handles.get(handle);
          if (entry) entry.copies++;
          else held.handles.set(handle, { chain, copies: 1 });
        }
      }
    }
  }

  drop(worker: number): void {
    this.#of(worker).handles.clear();
  }

  /** Length of the longest run of leading blocks that the worker holds or that are below `promised`. */
  overlap(worker: number, tokens: readonly number[], blockSize: number, promised = 0): number {
    const chains = new Set([...this.#of(worker).handles.values()].map((entry) => entry.chain));
    let chain = `${blockSize}||`;
    let run = 0;
    for (; (run + 1) * blockSize <= tokens.length; run++) {
      chain += `/:${tokens.slice(run * blockSize, (run + 1) * blockSize).join(',')}`;
      if (run >= promised && !chains.has(chain)) break;
    }
    return run;
  }

  heldBlocks(worker: number): number {
    return new Set([...this.#of(worker).handles.values()].map((entry) => entry.chain)).size;
  }

  /** Copies of all blocks. */
  copies(worker: number): number {
    return [...this.#of(worker).handles.values()].reduce((sum, { copies }) => sum + copies, 0);
  }

  #of(worker: number): NaiveWorker {
    let held = this.#workers.get(worker);
    if (!held) {
      held = { handles: new Map() };
      this.#workers.set(worker, held);
    }
    return held;
  }
}

function handlesOf(words: Uint32Array): string[] {
  return Array.from({ length: words.length / 2 }, (_, i) => `${words[2 * i]},${words[2 * i + 1]}`);
}
