// What another replica knows of one publisher, as of one of its batches.

import type { BlocksStored } from '../../core/index.ts';
import type { BatchPrint } from './feed-memory.ts';

export interface PeerCopy {
  /** Number of that batch. */
  readonly seq: number;
  /** Tokens per block. */
  readonly blockSize: number;
  readonly prints: readonly BatchPrint[];
  /** Store events with sequence hashes and the engine's own handles. Null: the rest is lost. */
  pieces(): AsyncIterable<BlocksStored | null>;
}

/** Asks other replicas. @param worker URL#rank @returns null: none has a copy up to batch `seqMin` */
export type CopySource = (worker: string, seqMin: number, signal: AbortSignal) => Promise<PeerCopy | null>;
