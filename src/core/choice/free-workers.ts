// Narrows the candidates to workers with room for a request: free blocks, and fewer running requests than the limit.
//
// A worker has room if its active blocks plus the request's new blocks stay within its capacity, and if it runs fewer
// requests than it may. Unknown capacities and limits never hold a request. While one candidate has room, the policy
// chooses among all that may run one more request, full caches included: it sees their load, and moving a prompt away
// from its prefix for a few blocks costs more than it saves (lab, multi-turn-long: 8 % of the capacity). A request
// larger than the whole capacity of every candidate would wait for ever, so its blocks are ignored and the engine
// decides.
//
// Workers that are kept free for other tenants are the last ones in an order that all routers share, so that several
// routers keep the same ones, and the same ones as before: the others' prefixes stay cached there.

import { blocksOf, tailTokensOf } from '../ledger/active-blocks.ts';
import type { PoolRoom, WorkerTable } from '../ledger/worker-table.ts';
import type { Held, RouteRequest, WorkerIndex } from '../types.ts';
import type { Candidates } from './candidates.ts';
import { hashesOf } from './placements.ts';

export class FreeWorkers {
  readonly #workers: WorkerTable;
  readonly #candidates: Candidates;
  #open: Uint8Array = new Uint8Array(0);
  /** 1: kept free for other tenants. */
  #kept: Uint8Array = new Uint8Array(0);
  #rowOf: Int32Array = new Int32Array(0);

  constructor(workers: WorkerTable, candidates: Candidates) {
    this.#workers = workers;
    this.#candidates = candidates;
  }

  /**
   * Keeps only the candidates that are not closed and may run one more request. O(workers), or O(workers x prompts) if
   * none has room.
   * @param closed workers whose room is reserved for requests ahead
   * @param keptWorkers of all routable workers, how many the request leaves free; if all of its candidates were among
   *   them, the same share of its candidates
   * @returns null, or `held` if no candidate has room; then the candidates are unchanged
   */
  narrow(request: RouteRequest, closed: ReadonlySet<WorkerIndex>, keptWorkers: number): Held | null {
    this.#markKept(request, keptWorkers);
    const open = this.#markOpen(request, closed);
    if (open === 0 || !(this.#anyHasBlocks() || !(this.#fitsSome(request, 0) || this.#fitsSome(request, 1)))) {
      const nearest = this.#nearest(closed);
      return { kind: 'held', nearest, othersMayGo: nearest !== null, keptWorkers: this.#candidates.keptWorkers };
    }
    if (open < this.#candidates.count) this.#candidates.keep(this.#open);
    return null;
  }

  /** What the workers that take requests have room for. O(workers) */
  room(): PoolRoom {
    return this.#workers.room();
  }

  /** At least one candidate is not kept, and none is if the request is too large for those that are not. */
  #markKept(request: RouteRequest, keptWorkers: number): void {
    const { count, worker } = this.#candidates;
    if (this.#kept.length < count) this.#kept = new Uint8Array(2 * count);
    this.#kept.fill(0, 0, count);
    this.#candidates.keptWorkers = 0;
    if (keptWorkers === 0) return;
    if (this.#rowOf.length < this.#workers.count) this.#rowOf = new Int32Array(2 * this.#workers.count);
    this.#rowOf.fill(-1);
    for (let i = 0; i < count; i++) this.#rowOf[worker[i]!] = i;
    this.#markLast(keptWorkers, false);
    if (this.#candidates.keptWorkers === count) {
      this.#kept.fill(0, 0, count);
      const share = keptWorkers / this.#workers.routableCount();
      this.#markLast(Math.min(count - 1, Math.floor(share * count)), true);
    }
    if (this.#fitsSome(request, 0) || !this.#fitsSome(request, 1)) return;
    this.#kept.fill(0, 0, count);
    this.#candidates.keptWorkers = 0;
  }

  /** Marks the candidates among the last workers. @param ofCandidates count candidates only, not all that take requests */
  #markLast(workers: number, ofCandidates: boolean): void {
    const order = this.#workers.inHashOrder();
    let kept = 0;
    for (let at = order.length - 1, left = workers; left > 0 && at >= 0; at--) {
      const row = this.#rowOf[order[at]!]!;
      if (ofCandidates ? row < 0 : this.#workers.routable[order[at]!] === 0) continue;
      left--;
      if (row < 0) continue;
      this.#kept[row] = 1;
      kept++;
    }
    this.#candidates.keptWorkers = kept;
  }

  /** @returns how many candidates are open */
  #markOpen(request: RouteRequest, closed: ReadonlySet<WorkerIndex>): number {
    const { count, worker } = this.#candidates;
    if (this.#open.length < count) this.#open = new Uint8Array(2 * count);
    let open = 0;
    for (let i = 0; i < count; i++) {
      const isOpen = this.#kept[i] === 0 && !closed.has(worker[i]!) && !this.#runsEnough(i, request);
      this.#open[i] = isOpen ? 1 : 0;
      if (isOpen) open++;
    }
    return open;
  }

  #anyHasBlocks(): boolean {
    for (let i = 0; i < this.#candidates.count; i++)
      if (this.#open[i] === 1 && this.#lackingBlocks(i) <= 0) return true;
    return false;
  }

  /** An idle worker takes a request with more prompts than its limit, since a request cannot be split. */
  #runsEnough(i: number, { prompts }: RouteRequest): boolean {
    const { runningRequests, othersRequests } = this.#candidates;
    const running = this.#withUnheard(runningRequests[i]!, othersRequests[i]!);
    const runningMax = this.#workers.runningRequestsMax[this.#candidates.worker[i]!]!;
    return running > 0 && running + prompts.length > runningMax;
  }

  #lackingBlocks(i: number): number {
    const { activeBlocks, othersBlocks, newBlocks, worker } = this.#candidates;
    const active = this.#withUnheard(activeBlocks[i]!, othersBlocks[i]!);
    return active + newBlocks[i]! - this.#workers.knownCapacityBlocks[worker[i]!]!;
  }

  /** Routers that are not heard are assumed to have as much on the worker as this one. */
  #withUnheard(all: number, others: number): number {
    return all + (this.#workers.ownScale - 1) * (all - others);
  }

  /** Whether the whole capacity of a candidate is enough. @param kept 1: of a kept one; 0: of another */
  #fitsSome({ prompts, sequences = 1 }: RouteRequest, kept: 0 | 1): boolean {
    const { count, worker, blockSize } = this.#candidates;
    for (let i = 0; i < count; i++) {
      if (this.#kept[i] !== kept) continue;
      let blocks = 0;
      for (const prompt of prompts) {
        const hashes = hashesOf(prompt, blockSize[i]!);
        blocks += hashes.count + sequences * blocksOf(tailTokensOf(prompt.isl, hashes), hashes.blockSize);
      }
      if (blocks <= this.#workers.knownCapacityBlocks[worker[i]!]!) return true;
    }
    return false;
  }

  #nearest(closed: ReadonlySet<WorkerIndex>): WorkerIndex | null {
    const { count, worker } = this.#candidates;
    let nearest: WorkerIndex | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < count; i++) {
      if (this.#kept[i] === 1 || closed.has(worker[i]!)) continue;
      const lacking = Math.max(0, this.#lackingBlocks(i));
      if (lacking >= least) continue;
      least = lacking;
      nearest = worker[i]!;
    }
    return nearest;
  }
}
