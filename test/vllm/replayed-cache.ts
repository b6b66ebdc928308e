// Reconstructs an engine's cache from all KV events since its start.

import { NaiveCache } from './naive-cache.ts';
import { replay } from './replay.ts';
import { readBatch } from './wire-events.ts';

/** A busy engine's socket drops part of a long replay, so missing batches are requested again. */
const attemptsMax = 20;

/** @throws Error if a batch stays missing or is invalid */
export async function replayCache(endpoint: string, blockSize: number): Promise<NaiveCache> {
  const cache = new NaiveCache(blockSize);
  let nextSeq = 0;
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    for await (const reply of replay(endpoint, nextSeq)) {
      if (reply === 'end') return cache;
      if (reply.seq !== nextSeq) break;
      for (const event of readBatch(reply.payload)) cache.apply(event);
      nextSeq += 1;
    }
  }
  throw new Error(`${endpoint} does not give its batch ${nextSeq} in ${attemptsMax} attempts`);
}
