// Fills the candidates of a request: for each worker its overlap, uncached tokens, new blocks and current load.

import type { HeldBlocks } from '../held/held-blocks.ts';
import type { LingeringPromises } from '../held/lingering-promises.ts';
import type { OthersPromises } from '../held/others-promises.ts';
import type { PrefixIndex } from '../held/prefix-index.ts';
import { type ActiveBlocks, blocksOf, tailTokensOf } from '../ledger/active-blocks.ts';
import type { PlannedLoad } from '../ledger/planned-load.ts';
import type { WorkerTable } from '../ledger/worker-table.ts';
import type { BlockHashes, Prompt, RouteRequest, WorkerIndex } from '../types.ts';
import { Candidates } from './candidates.ts';
import type { KnownOverlaps } from './known-overlaps.ts';
import type { Predictions } from './predictions.ts';

export interface CountedAsOverlap {
  /** False: every overlap is 0 (the policy uses no index). */
  readonly overlap: boolean;
  /** Whether blocks of requests in flight count as overlap. */
  readonly promised: boolean;
}

/** Reads the ledger and the index. Writes only its own scratch. */
export class Placements {
  /** Filled by `fill`. */
  readonly candidates: Candidates = new Candidates();
  readonly predictions: Predictions;
  readonly #workers: WorkerTable;
  readonly #ledger: ActiveBlocks;
  readonly #index: PrefixIndex;
  readonly #promises: LingeringPromises;
  readonly #others: OthersPromises;
  readonly #counted: CountedAsOverlap;
  #activeRuns: Int32Array = new Int32Array(0);
  #overlaps: Int32Array = new Int32Array(0);
  #zeros: Int32Array = new Int32Array(0);
  /** Load to count in addition to the ledger's; null except during a plan. */
  #planned: PlannedLoad | null = null;

  constructor(
    workers: WorkerTable,
    ledger: ActiveBlocks,
    held: HeldBlocks,
    predictions: Predictions,
    counted: CountedAsOverlap,
  ) {
    this.predictions = predictions;
    this.#workers = workers;
    this.#ledger = ledger;
    this.#index = held.index;
    this.#promises = held.announcements.promises;
    this.#others = held.others;
    this.#counted = counted;
  }

  /**
   * Fills the candidates' columns for a request. O(workers + blocks)
   * @param planned load to count as if it were booked
   * @param known of the only prompt of the request; filled by the first call
   * @returns the number of routable workers
   */
  fill(
    request: RouteRequest,
    nowMs: number,
    planned: PlannedLoad | null = null,
    known: KnownOverlaps | null = null,
  ): number {
    this.#planned = planned;
    const routable = this.#fillLoads(request);
    const { candidates } = this;
    if (candidates.count === 0) return routable;
    for (const prompt of request.prompts) this.#addTerms(prompt, request.sequences ?? 1, known);
    this.#fillUsage();
    this.predictions.fill(candidates, request.prompts, nowMs, planned);
    return routable;
  }

  /** Tokens of one prompt that the worker would have to compute now. */
  uncachedTokens(prompt: Prompt, hashes: BlockHashes, worker: WorkerIndex): number {
    this.#planned = null;
    this.#findOverlaps(prompt, null);
    const pageSize = this.#workers.pageSize[worker]!;
    return Math.max(1, prompt.isl - cachedTokens(prompt, hashes, this.#overlaps[worker]!, pageSize));
  }

  #fillLoads(request: RouteRequest): number {
    const workers = this.#workers;
    const { candidates } = this;
    candidates.reset(workers.count);
    if (this.#overlaps.length < workers.count) {
      this.#activeRuns = new Int32Array(workers.live.length);
      this.#overlaps = new Int32Array(workers.live.length);
      this.#zeros = new Int32Array(workers.live.length);
    }
    let routable = 0;
    for (let worker = 0; worker < workers.count; worker++) {
      if (workers.routable[worker] === 0) continue;
      routable++;
      if (request.excluded?.has(worker)) continue;
      const i = candidates.count++;
      candidates.worker[i] = worker;
      const blockSize = workers.blockSize[worker]!;
      const othersPrefillTokens = workers.othersPrefillTokens[worker]!;
      const othersBlocks = workers.othersBlocks(worker);
      const othersRequests = workers.othersRequests[worker]!;
      candidates.blockSize[i] = blockSize;
      candidates.othersPrefillTokens[i] = othersPrefillTokens;
      candidates.othersBlocks[i] = othersBlocks;
      candidates.othersRequests[i] = othersRequests;
      candidates.activePrefillTokens[i] = workers.activePrefillTokens[worker]! + othersPrefillTokens;
      candidates.activeBlocks[i] = workers.activeBlocks[worker]! + othersBlocks;
      candidates.ownBlocks[i] = workers.ownBlocks[worker]! + workers.othersOwnTokens[worker]! / blockSize;
      candidates.runningRequests[i] = workers.runningRequests[worker]! + othersRequests;
      if (this.#planned) this.#addPlanned(this.#planned, i, worker);
      candidates.affinityTokens[i] = request.affinity?.worker === worker ? request.affinity.tokens : 0;
      candidates.overlapBlocks[i] = 0;
      candidates.promisedBlocks[i] = 0;
      candidates.overlapTokens[i] = 0;
      candidates.uncachedTokens[i] = 0;
      candidates.newBlocks[i] = 0;
      candidates.newOwnBlocks[i] = 0;
      candidates.prefillMs[i] = 0;
      candidates.backlogMs[i] = 0;
      candidates.ttftMs[i] = 0;
      candidates.tpotMs[i] = 0;
      candidates.prefillShare[i] = 0;
      candidates.slowness[i] = 0;
    }
    return routable;
  }

  #fillUsage(): void {
    const { count, worker, activeBlocks, othersBlocks, newBlocks, kvUsage } = this.candidates;
    const { knownCapacityBlocks, ownScale } = this.#workers;
    for (let i = 0; i < count; i++) {
      const unheard = (ownScale - 1) * (activeBlocks[i]! - othersBlocks[i]!);
      kvUsage[i] = (activeBlocks[i]! + unheard + newBlocks[i]!) / knownCapacityBlocks[worker[i]!]!;
    }
  }

  #addPlanned(planned: PlannedLoad, i: number, worker: WorkerIndex): void {
    const { candidates } = this;
    candidates.activePrefillTokens[i]! += planned.prefillTokens[worker]!;
    candidates.activeBlocks[i]! += planned.blocks[worker]!;
    candidates.ownBlocks[i]! += planned.ownBlocks[worker]!;
    candidates.runningRequests[i]! += planned.requests[worker]!;
  }

  /** Adds the cost terms of one prompt to every candidate. */
  #addTerms(prompt: Prompt, sequences: number, known: KnownOverlaps | null): void {
    const { candidates } = this;
    this.#findOverlaps(prompt, known);
    for (let i = 0; i < candidates.count; i++) {
      const worker = candidates.worker[i]!;
      const hashes = hashesOf(prompt, candidates.blockSize[i]!);
      const overlapBlocks = this.#overlaps[worker]!;
      const overlapTokens = cachedTokens(prompt, hashes, overlapBlocks, this.#workers.pageSize[worker]!);
      const tailTokens = tailTokensOf(prompt.isl, hashes);
      const newOwnBlocks = sequences * blocksOf(tailTokens, hashes.blockSize);
      candidates.overlapBlocks[i]! += overlapBlocks;
      candidates.overlapTokens[i]! += overlapTokens;
      candidates.uncachedTokens[i]! += Math.max(1, prompt.isl - overlapTokens);
      candidates.newBlocks[i]! += hashes.count - this.#activeRuns[worker]! + newOwnBlocks;
      candidates.newOwnBlocks[i]! += newOwnBlocks;
    }
  }

  /** Fills `#activeRuns` and `#overlaps`, and adds the promised blocks to the candidates' column. */
  #findOverlaps(prompt: Prompt, known: KnownOverlaps | null): void {
    const { candidates } = this;
    const workerCount = this.#workers.count;
    const active = this.#activeRuns.fill(0, 0, workerCount);
    const overlaps = this.#overlaps.fill(0, 0, workerCount);
    for (const hashes of prompt.hashes) this.#ledger.addLeadingRuns(hashes, active);
    // All runs begin at the first block, so the longest one contains the others.
    const { common } = this.#ledger;
    if (!common.isEmpty) for (const hashes of prompt.hashes) common.raiseLeadingRuns(hashes, active);
    if (this.#planned) for (const hashes of prompt.hashes) this.#planned.runs.raiseLeadingRuns(hashes, active);
    if (!this.#counted.overlap || prompt.recomputed) return;
    if (this.#counted.promised) {
      for (let worker = 0; worker < workerCount; worker++) overlaps[worker] = active[worker]!;
      for (const hashes of prompt.hashes) {
        this.#promises.raiseLeadingRuns(hashes, overlaps, this.#zeros, workerCount);
      }
      if (!this.#others.isEmpty) {
        for (const hashes of prompt.hashes) {
          this.#others.raiseLeadingRuns(hashes, overlaps);
        }
      }
      for (let i = 0; i < candidates.count; i++) candidates.promisedBlocks[i]! += overlaps[candidates.worker[i]!]!;
    }
    if (known?.isFilled && !known.raise(overlaps)) return;
    for (const hashes of prompt.hashes) this.#index.overlaps(hashes, overlaps, workerCount);
    if (known?.isFilled === false) known.keep(overlaps);
  }
}

/** The prompt's blocks at a worker's block size. @throws Error if the prompt is not hashed for that size */
export function hashesOf(prompt: Prompt, blockSize: number): BlockHashes {
  const { hashes } = prompt;
  for (let i = 0; i < hashes.length; i++) if (hashes[i]!.blockSize === blockSize) return hashes[i]!;
  throw new Error(`kvoyant: broken invariant: the prompt is hashed for block size ${blockSize}`);
}

/**
 * Tokens that the engine takes from its cache. It always computes at least one token, and with it the whole page: vLLM
 * and SGLang recompute the last block of a prompt that is cached completely.
 */
function cachedTokens(prompt: Prompt, hashes: BlockHashes, overlapBlocks: number, pageSize: number): number {
  const cacheableTokens = Math.floor(Math.max(0, prompt.isl - 1) / pageSize) * pageSize;
  return Math.min(Math.floor(overlapBlocks * hashes.blockTokens), cacheableTokens);
}
