// Table of a router's workers: id <-> dense index, and the columns that hot loops read.

import { assert } from '../assert.ts';
import type { IndexSource, WorkerIndex, WorkerSpec } from '../types.ts';

/** What the workers of a pool have room for together. */
export interface PoolRoom {
  readonly workers: number;
  /** KV capacity. */
  readonly tokens: number;
  /** Requests that may run. */
  readonly requests: number;
  /** Routers that send requests to them, those that are not heard included: at least 1, not always whole. */
  readonly routers: number;
}

/**
 * Columns by dense worker index. The index of a removed worker is reused with a higher incarnation. Loops run to
 * `count`; removed workers keep their entries, with `live` 0.
 */
export class WorkerTable {
  /** Bound of the columns: more workers than any pool has. */
  static readonly workersMax = 16_384;

  count = 0;
  live: Uint8Array = new Uint8Array(8);
  routable: Uint8Array = new Uint8Array(8);
  incarnation: Uint32Array = new Uint32Array(8);
  viewEpoch: Uint32Array = new Uint32Array(8);
  blockSize: Int32Array = new Int32Array(8);
  /** Tokens per block in the engine's KV events: `blockSize` or a divisor of it. */
  pageSize: Int32Array = new Int32Array(8);
  capacityBlocks: Float64Array = new Float64Array(8);
  /** `capacityBlocks` if it is known, otherwise Infinity. */
  knownCapacityBlocks: Float64Array = new Float64Array(8);
  /** Infinity if no limit is known. */
  runningRequestsMax: Float64Array = new Float64Array(8);
  /** Distinct full prompt blocks in flight, plus `ownBlocks`. */
  activeBlocks: Int32Array = new Int32Array(8);
  /** The part of `activeBlocks` that belongs to one sequence only: prompt tails and output. */
  ownBlocks: Int32Array = new Int32Array(8);
  /** Prompt tokens that are booked and not computed yet. */
  activePrefillTokens: Float64Array = new Float64Array(8);
  runningRequests: Int32Array = new Int32Array(8);
  /** The same of other routers that send requests to the worker. Block totals are in tokens of their own block sizes. */
  othersActiveTokens: Float64Array = new Float64Array(8);
  othersOwnTokens: Float64Array = new Float64Array(8);
  othersPrefillTokens: Float64Array = new Float64Array(8);
  othersPrefillPairs: Float64Array = new Float64Array(8);
  othersRequests: Float64Array = new Float64Array(8);
  /** Blocks that the sum of all routers' active blocks counts more than once (see common-blocks.ts). */
  commonBlocks: Float64Array = new Float64Array(8);
  /** Factor on the own load where it is compared with a limit. Above 1 while other routers are not heard. */
  ownScale = 1;
  /** Routers of these workers that are heard, this one included. */
  routersHeard = 1;
  /** Hash of each worker's id: the same in every router. */
  idHash: Uint32Array = new Uint32Array(8);
  readonly #ids: string[] = [];
  readonly #sources: IndexSource[] = [];
  readonly #byId = new Map<string, WorkerIndex>();
  readonly #free: WorkerIndex[] = [];
  /** Null: to be sorted anew. */
  #inHashOrder: readonly WorkerIndex[] | null = null;

  add(spec: WorkerSpec): WorkerIndex {
    assert(!this.#byId.has(spec.id), `worker id ${spec.id} is unique`);
    const worker = this.#free.pop() ?? this.count++;
    assert(worker < WorkerTable.workersMax, 'a router has at most workersMax workers');
    if (worker >= this.live.length) this.#grow();
    this.#ids[worker] = spec.id;
    this.#sources[worker] = spec.source;
    this.#byId.set(spec.id, worker);
    this.idHash[worker] = hashOf(spec.id);
    this.#inHashOrder = null;
    this.live[worker] = 1;
    this.routable[worker] = 1;
    this.incarnation[worker]!++;
    this.viewEpoch[worker] = 0;
    this.setBlockSize(worker, spec.blockSize, spec.pageSize ?? spec.blockSize);
    this.setCapacity(worker, spec.capacityBlocks, spec.capacityKnown ?? true);
    this.setRunningRequestsMax(worker, spec.runningRequestsMax ?? Number.POSITIVE_INFINITY);
    this.activeBlocks[worker] = 0;
    this.ownBlocks[worker] = 0;
    this.activePrefillTokens[worker] = 0;
    this.runningRequests[worker] = 0;
    this.othersActiveTokens[worker] = 0;
    this.othersOwnTokens[worker] = 0;
    this.othersPrefillTokens[worker] = 0;
    this.othersPrefillPairs[worker] = 0;
    this.othersRequests[worker] = 0;
    this.commonBlocks[worker] = 0;
    return worker;
  }

  remove(worker: WorkerIndex): void {
    this.assertLive(worker);
    this.live[worker] = 0;
    this.routable[worker] = 0;
    this.#byId.delete(this.id(worker));
    this.#inHashOrder = null;
    this.#free.push(worker);
  }

  id(worker: WorkerIndex): string {
    return this.#ids[worker]!;
  }

  /** The live worker with this id. */
  find(id: string): WorkerIndex | undefined {
    return this.#byId.get(id);
  }

  /** Indexes of the live workers, ascending. */
  indexes(): WorkerIndex[] {
    const indexes: WorkerIndex[] = [];
    for (let worker = 0; worker < this.count; worker++) if (this.live[worker] === 1) indexes.push(worker);
    return indexes;
  }

  /** Active blocks that other routers have on the worker and this one has not. */
  othersBlocks(worker: WorkerIndex): number {
    return Math.max(
      0,
      this.othersActiveTokens[worker]! / this.blockSize[worker]! - Math.max(0, this.commonBlocks[worker]!),
    );
  }

  /** The live workers in an order that all routers of these workers share. */
  inHashOrder(): readonly WorkerIndex[] {
    this.#inHashOrder ??= this.indexes().sort(
      (a, b) => this.idHash[a]! - this.idHash[b]! || (this.id(a) < this.id(b) ? -1 : 1),
    );
    return this.#inHashOrder;
  }

  /** O(workers) */
  routableCount(): number {
    let routable = 0;
    for (let worker = 0; worker < this.count; worker++) routable += this.routable[worker]!;
    return routable;
  }

  /** What the workers that take requests have room for; Infinity where it is not known of all. O(workers) */
  room(): PoolRoom {
    let workers = 0;
    let tokens = 0;
    let requests = 0;
    for (let worker = 0; worker < this.count; worker++) {
      if (this.routable[worker] === 0) continue;
      workers++;
      tokens += this.knownCapacityBlocks[worker]! * this.blockSize[worker]!;
      requests += this.runningRequestsMax[worker]!;
    }
    return { workers, tokens, requests, routers: this.routersHeard * this.ownScale };
  }

  /** Distinct block sizes of the live workers. */
  blockSizes(): number[] {
    return [...new Set(this.indexes().map((worker) => this.blockSize[worker]!))];
  }

  source(worker: WorkerIndex): IndexSource {
    return this.#sources[worker]!;
  }

  setSource(worker: WorkerIndex, source: IndexSource): void {
    this.assertLive(worker);
    this.#sources[worker] = source;
  }

  setBlockSize(worker: WorkerIndex, blockSize: number, pageSize: number): void {
    this.assertLive(worker);
    assert(Number.isInteger(blockSize) && blockSize >= 1, 'a block size is an integer from 1 up');
    assert(Number.isInteger(blockSize / pageSize), 'a page size divides the block size');
    this.blockSize[worker] = blockSize;
    this.pageSize[worker] = pageSize;
  }

  setCapacity(worker: WorkerIndex, capacityBlocks: number, known: boolean): void {
    this.assertLive(worker);
    assert(capacityBlocks >= 1, 'a capacity is at least one block');
    this.capacityBlocks[worker] = capacityBlocks;
    this.knownCapacityBlocks[worker] = known ? capacityBlocks : Number.POSITIVE_INFINITY;
  }

  setRunningRequestsMax(worker: WorkerIndex, requestsMax: number): void {
    this.assertLive(worker);
    assert(requestsMax >= 1, 'a worker takes at least one request');
    this.runningRequestsMax[worker] = requestsMax;
  }

  assertLive(worker: WorkerIndex): void {
    assert(this.live[worker] === 1, 'the worker is in the router');
  }

  #grow(): void {
    const length = 2 * this.live.length;
    this.live = grown(this.live, new Uint8Array(length));
    this.routable = grown(this.routable, new Uint8Array(length));
    this.incarnation = grown(this.incarnation, new Uint32Array(length));
    this.viewEpoch = grown(this.viewEpoch, new Uint32Array(length));
    this.blockSize = grown(this.blockSize, new Int32Array(length));
    this.pageSize = grown(this.pageSize, new Int32Array(length));
    this.capacityBlocks = grown(this.capacityBlocks, new Float64Array(length));
    this.knownCapacityBlocks = grown(this.knownCapacityBlocks, new Float64Array(length));
    this.runningRequestsMax = grown(this.runningRequestsMax, new Float64Array(length));
    this.activeBlocks = grown(this.activeBlocks, new Int32Array(length));
    this.ownBlocks = grown(this.ownBlocks, new Int32Array(length));
    this.activePrefillTokens = grown(this.activePrefillTokens, new Float64Array(length));
    this.runningRequests = grown(this.runningRequests, new Int32Array(length));
    this.idHash = grown(this.idHash, new Uint32Array(length));
    this.othersActiveTokens = grown(this.othersActiveTokens, new Float64Array(length));
    this.othersOwnTokens = grown(this.othersOwnTokens, new Float64Array(length));
    this.othersPrefillTokens = grown(this.othersPrefillTokens, new Float64Array(length));
    this.othersPrefillPairs = grown(this.othersPrefillPairs, new Float64Array(length));
    this.othersRequests = grown(this.othersRequests, new Float64Array(length));
    this.commonBlocks = grown(this.commonBlocks, new Float64Array(length));
  }
}

/** FNV-1a of the UTF-16 code units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function grown<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
