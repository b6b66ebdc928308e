// Admission: places a request, or holds it while every worker that may take it is full.
//
// What waits goes by priority, then arrival. A request that is blocked keeps the room of one worker, the one that lacks
// the least for it: nothing behind it is placed there, so that it is not passed for ever; behind it others may be placed
// elsewhere. Each is chosen and booked on its own, so that the next one sees its load.

import { blocksOf, tailTokensOf } from '../ledger/active-blocks.ts';
import type { Router } from '../router.ts';
import type { Refused, Routed, RouteRequest, WorkerIndex } from '../types.ts';
import { AdmissionLane, LanePlace } from './admission-lane.ts';
import { ReleaseRate } from './release-rate.ts';

/** Blocked requests of one lane that a later one may pass; bounds the work of one drain. */
const passedMax = 4;
const retryAfterSMin = 1;
const retryAfterSMax = 60;

export interface Applicant {
  /** Lower first. */
  readonly priority: number;
  /** Applicants that may go to the same workers have the same lane; one that waits hides nobody of another lane. */
  readonly lane: string;
  /** Called at every attempt: since the last one the workers or their block sizes may have changed. */
  request(): RouteRequest;
}

/** A place in the queue, to be given back by `withdraw`. */
export type Waiting<A extends Applicant> = LanePlace<A>;

export type Entry<A extends Applicant> =
  | Routed
  | Refused
  | { readonly kind: 'waiting'; readonly waiting: Waiting<A> }
  /** No place is left in the queue. `retryAfterS`: when all that waits, and this, should have found room. */
  | { readonly kind: 'full'; readonly retryAfterS: number };

/** One that waited, and what came of it. */
export interface Admitted<A extends Applicant> {
  readonly applicant: A;
  /** `failed`: its own `request` threw, or its routing; the others go on. */
  readonly outcome: Routed | Refused | { readonly kind: 'failed'; readonly error: unknown };
}

export interface AdmissionOptions {
  /** Requests that wait at a time. */
  readonly waitingMax: number;
}

/**
 * The queue of one router. It has neither clock nor timer: `drain` has to follow every `onRoomChange` of the router, and
 * every entry that waits; who has waited too long is for the caller to withdraw.
 */
export class Admission<A extends Applicant> {
  readonly #router: Pick<Router, 'admit' | 'counters'>;
  readonly #waitingMax: number;
  readonly #lanes = new Map<string, AdmissionLane<A>>();
  readonly #rate = new ReleaseRate();
  #waiting = 0;
  #waitingBlocks = 0;
  #arrivals = 0;

  constructor(router: Pick<Router, 'admit' | 'counters'>, { waitingMax }: AdmissionOptions) {
    this.#router = router;
    this.#waitingMax = waitingMax;
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Blocks that they ask for, were nothing of them shared. */
  get waitingBlocks(): number {
    return this.#waitingBlocks;
  }

  /** Places the request at once if nobody waits and a worker has room. O(blocks + workers + log waiting) */
  enter(applicant: A, nowMs: number): Entry<A> {
    this.#observe(nowMs);
    const request = applicant.request();
    if (this.#waiting === 0) {
      const outcome = this.#router.admit(request, nowMs);
      if (outcome.kind !== 'held') return outcome;
    }
    const blocks = wholeBlocks(request);
    if (this.#waiting >= this.#waitingMax) return { kind: 'full', retryAfterS: this.#retryAfterS(blocks, nowMs) };
    const place = new LanePlace(applicant, applicant.lane, applicant.priority, this.#arrivals++, blocks);
    this.#add(place);
    return { kind: 'waiting', waiting: place };
  }

  /** Takes one out of the queue. O(log waiting) @returns whether it waited */
  withdraw(place: Waiting<A>): boolean {
    if (place.at < 0) return false;
    this.#take(place);
    return true;
  }

  /** Places, and books, all that can be placed now. @returns them in the order in which they were placed */
  drain(nowMs: number): Admitted<A>[] {
    this.#observe(nowMs);
    const admitted: Admitted<A>[] = [];
    const passed: LanePlace<A>[] = [];
    const passedOf = new Map<string, number>();
    const closed = new Set<WorkerIndex>();
    const shut = new Set<string>();
    for (let place = this.#first(shut); place !== undefined; place = this.#first(shut)) {
      const { lane, item: applicant } = place;
      const outcome = this.#attempt(applicant, nowMs, closed);
      this.#take(place);
      if (outcome.kind !== 'held') {
        admitted.push({ applicant, outcome });
        continue;
      }
      passed.push(place);
      const count = (passedOf.get(lane) ?? 0) + 1;
      passedOf.set(lane, count);
      if (outcome.nearest === null || count > passedMax) shut.add(lane);
      if (outcome.nearest !== null) closed.add(outcome.nearest);
    }
    for (const place of passed) this.#add(place);
    return admitted;
  }

  #attempt(
    applicant: A,
    nowMs: number,
    closed: ReadonlySet<WorkerIndex>,
  ): Admitted<A>['outcome'] | ReturnType<Router['admit']> {
    try {
      return this.#router.admit(applicant.request(), nowMs, closed);
    } catch (error) {
      return { kind: 'failed', error };
    }
  }

  /** The first of all that wait in lanes that are not shut. O(lanes) */
  #first(shut: ReadonlySet<string>): LanePlace<A> | undefined {
    let first: LanePlace<A> | undefined;
    for (const [name, lane] of this.#lanes) {
      if (shut.has(name)) continue;
      const place = lane.first!;
      if (first === undefined || place.isBefore(first)) first = place;
    }
    return first;
  }

  #add(place: LanePlace<A>): void {
    let lane = this.#lanes.get(place.lane);
    if (lane === undefined) {
      lane = new AdmissionLane();
      this.#lanes.set(place.lane, lane);
    }
    lane.push(place);
    this.#waiting++;
    this.#waitingBlocks += place.blocks;
  }

  /** A lane lives as long as somebody waits in it. */
  #take(place: LanePlace<A>): void {
    const lane = this.#lanes.get(place.lane)!;
    lane.remove(place);
    if (lane.size === 0) this.#lanes.delete(place.lane);
    this.#waiting--;
    this.#waitingBlocks -= place.blocks;
  }

  #observe(nowMs: number): void {
    this.#rate.observe(this.#router.counters().releasedBlocks, nowMs);
  }

  #retryAfterS(blocks: number, nowMs: number): number {
    const blocksPerS = this.#rate.blocksPerS(this.#router.counters().releasedBlocks, nowMs);
    const seconds = Math.ceil((this.#waitingBlocks + blocks) / blocksPerS);
    return Math.min(Math.max(seconds, retryAfterSMin), retryAfterSMax);
  }
}

/** Of the first of the pool's block sizes; 0 where the pool has no worker. */
function wholeBlocks({ prompts, sequences = 1 }: RouteRequest): number {
  let blocks = 0;
  for (const { isl, hashes } of prompts) {
    const first = hashes[0];
    if (first === undefined) continue;
    blocks += first.count + sequences * blocksOf(tailTokensOf(isl, first), first.blockSize);
  }
  return blocks;
}
