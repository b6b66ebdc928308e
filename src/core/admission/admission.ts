// Admission queue: places a request on a worker, or holds it while no worker has room.
//
// Waiting requests are placed by priority, then fairly over tenants (fair-queue.ts), then by arrival. A blocked request
// reserves one worker, the one that lacks the fewest blocks for it: requests behind it are not placed there, so they
// cannot overtake it for ever, but they may be placed on other workers. Each request is chosen and booked on its own, so
// that the next one sees its load.
//
// With late binding (`RouterOptions.lateBinding`) a request is also held while the worker that the policy chooses for
// it has more prefill queued than it can start soon. Requests of one tenant and priority are then ordered by due time
// (due-time.ts).
//
// A tenant that asks for more than its share leaves workers free for the others (tenant-reserve.ts).

import type { Routed } from '../choice/decision.ts';
import { blocksOf, tailTokensOf } from '../ledger/active-blocks.ts';
import type { PoolRoom } from '../ledger/worker-table.ts';
import type { Router } from '../router.ts';
import type { Held, Refused, RouteRequest, WorkerIndex } from '../types.ts';
import { LanePlace } from './admission-lane.ts';
import { dueMs } from './due-time.ts';
import { FairQueue } from './fair-queue.ts';
import { ReleaseRate } from './release-rate.ts';
import { ShutLanes } from './shut-lanes.ts';
import { TenantReserve } from './tenant-reserve.ts';

/** Blocked requests of one lane that later ones may overtake. Bounds the work of one drain. */
const passedMax = 4;
/** The same under late binding, where requests for other workers wait behind those for the busiest. */
const passedLateMax = 64;
const retryAfterSMin = 1;
const retryAfterSMax = 60;
/**
 * A request's answer counts for its tenant as the tokens that it may have, but at most as this many: most answers are much
 * shorter than they may be.
 */
const answerTokensMax = 256;

export interface Applicant {
  /** Lower values go first. */
  readonly priority: number;
  /** Applicants that may go to the same workers share a lane. A blocked lane does not block other lanes. */
  readonly lane: string;
  /** Waiting requests of different tenants share the workers fairly. Default: all are of one tenant. */
  readonly tenant?: string;
  /** The tenant's share relative to others, above 0. Default 1. */
  readonly weight?: number;
  /** Called at every attempt, because workers and block sizes may have changed since the last one. */
  request(): RouteRequest;
}

/** Handle of a waiting request. Pass it to `withdraw` to remove the request. */
export type Waiting<A extends Applicant> = LanePlace<A>;

export type Entry<A extends Applicant> =
  | Routed
  | Refused
  /** `displaced`: another tenant's request, turned away from the full queue for this one. */
  | { readonly kind: 'waiting'; readonly waiting: Waiting<A>; readonly displaced: Displaced<A> | null }
  /** The queue is full. `retryAfterS`: estimated time until all waiting requests and this one find room. */
  | { readonly kind: 'full'; readonly retryAfterS: number };

export interface Displaced<A extends Applicant> {
  readonly applicant: A;
  /** Estimated time until all waiting requests find room. */
  readonly retryAfterS: number;
}

/** A request that has left the queue, and its outcome. */
export interface Admitted<A extends Applicant> {
  readonly applicant: A;
  /** `failed`: its `request` or its routing threw. The other requests are not affected. */
  readonly outcome: Routed | Refused | { readonly kind: 'failed'; readonly error: unknown };
}

export interface AdmissionOptions {
  /** Waiting requests at a time. */
  readonly waitingMax: number;
  /** How long after a tenant's last request workers are kept free for it (see tenant-reserve.ts). Default 0: none are. */
  readonly tenantReserveMs?: number;
}

type AdmittingRouter = Pick<Router, 'admit' | 'counters' | 'lateBinding' | 'freeWorkers' | 'setHolder'>;

/**
 * The queue of one router. It has no clock and no timer. The caller must call `drain` after every `onRoomChange` and
 * after every `enter` that returns `waiting`, and must withdraw requests that have waited too long.
 */
export class Admission<A extends Applicant> {
  readonly #router: AdmittingRouter;
  readonly #waitingMax: number;
  readonly #queue = new FairQueue<A>();
  readonly #rate = new ReleaseRate();
  /** Null: no workers are kept free. */
  readonly #reserve: TenantReserve | null;
  #waiting = 0;
  #waitingBlocks = 0;
  #arrivals = 0;

  constructor(router: AdmittingRouter, { waitingMax, tenantReserveMs = 0 }: AdmissionOptions) {
    this.#router = router;
    this.#waitingMax = waitingMax;
    const room = (): PoolRoom => router.freeWorkers.room();
    this.#reserve = tenantReserveMs === 0 ? null : new TenantReserve(tenantReserveMs, room);
  }

  /** Number of waiting requests. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Blocks that the waiting requests need if they share none. */
  get waitingBlocks(): number {
    return this.#waitingBlocks;
  }

  /**
   * Places the request at once if the queue is empty and a worker has room. O(blocks + workers + log waiting)
   * @param planned the worker that `Router.plan` found for it
   */
  enter(applicant: A, nowMs: number, planned: WorkerIndex | null = null): Entry<A> {
    this.#observe(nowMs);
    const request = applicant.request();
    const place = this.#placeOf(applicant, request, nowMs);
    const { blocks } = place;
    if (this.#waiting === 0) {
      const outcome = this.#attempt(place, nowMs, noneClosed, request, planned);
      if (outcome.kind === 'failed') throw outcome.error;
      if (outcome.kind !== 'held') return outcome;
    }
    let displaced: Displaced<A> | null = null;
    if (this.#waiting >= this.#waitingMax) {
      const retryAfterS = this.#retryAfterS(blocks, nowMs);
      const excess = this.#queue.excess(place);
      if (excess === null) {
        this.#reserve?.withdrawn(place.tenant, place.workMs);
        return { kind: 'full', retryAfterS };
      }
      this.withdraw(excess);
      displaced = { applicant: excess.item, retryAfterS };
    }
    this.#arrivals += 1;
    const { lateBinding } = this.#router;
    if (lateBinding !== null) {
      const prefillMs = lateBinding.leastPrefillMs(request, nowMs);
      const sloTtftMs = request.slo?.ttftMs ?? Number.POSITIVE_INFINITY;
      place.urgency = { arrivalMs: nowMs, prefillMs, sloTtftMs };
      place.dueMs = dueMs(place.urgency, nowMs);
    }
    this.#queue.add(place);
    this.#waiting += 1;
    this.#waitingBlocks += blocks;
    return { kind: 'waiting', waiting: place, displaced };
  }

  /** Places the request at once or not at all, ahead of those that wait. The caller need not call `drain`. */
  placeNow(applicant: A, nowMs: number): Routed | Refused | Held {
    const place = this.#placeOf(applicant, applicant.request(), nowMs);
    const outcome = this.#attempt(place, nowMs, noneClosed);
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'held') this.#reserve?.withdrawn(place.tenant, place.workMs);
    return outcome;
  }

  /** Workers that tenants with more requests than their share leave free now. O(tenants) */
  keptWorkers(nowMs: number): number {
    return this.#reserve?.kept(nowMs) ?? 0;
  }

  /** Waiting requests by tenant. O(tenants) */
  waitingByTenant(): ReadonlyMap<string, number> {
    return this.#queue.counts();
  }

  /** Removes a request from the queue. O(log waiting) @returns whether it was waiting */
  withdraw(place: Waiting<A>): boolean {
    if (place.at < 0) return false;
    this.#queue.remove(place);
    this.#left(place);
    this.#reserve?.withdrawn(place.tenant, place.workMs);
    return true;
  }

  /** Places and books every request that can be placed now. @returns them in order of placement */
  drain(nowMs: number): Admitted<A>[] {
    this.#observe(nowMs);
    const admitted: Admitted<A>[] = [];
    const passed: LanePlace<A>[] = [];
    const closed = new Set<WorkerIndex>();
    const inLaneMax = this.#router.lateBinding === null ? passedMax : passedLateMax;
    const shut = new ShutLanes(inLaneMax, (tenant, priority) => this.#keptFrom(tenant, priority, nowMs) > 0);
    for (let place = this.#queue.first(shut); place !== undefined; place = this.#queue.first(shut)) {
      if (this.#putOff(place, nowMs)) continue;
      const outcome = this.#attempt(place, nowMs, closed);
      if (outcome.kind !== 'held') {
        if (outcome.kind === 'routed') this.#queue.serve(place, takenTokens(place, outcome));
        else this.#queue.remove(place);
        this.#left(place);
        admitted.push({ applicant: place.item, outcome });
        continue;
      }
      this.#queue.setAside(place);
      passed.push(place);
      shut.passed(place, outcome);
      if (outcome.nearest !== null) closed.add(outcome.nearest);
    }
    for (const place of passed) this.#queue.putBack(place);
    return admitted;
  }

  /** Tells the reserve of its arrival. */
  #placeOf(applicant: A, request: RouteRequest, nowMs: number): LanePlace<A> {
    const { lane, priority, tenant = '', weight = 1 } = applicant;
    const blocks = wholeBlocks(request);
    const tokens = chargedTokens(request);
    const workMs = this.#reserve?.arrived(tenant, weight, priority, tokens, nowMs) ?? 0;
    const known = { lane, priority, tenant, weight, arrival: this.#arrivals, blocks, tokens, workMs };
    return new LanePlace(applicant, known);
  }

  /** Updates the due time, which moves back once when an SLO can no longer be met. @returns whether it has moved */
  #putOff(place: LanePlace<A>, nowMs: number): boolean {
    const due = place.urgency === null ? 0 : dueMs(place.urgency, nowMs);
    if (due <= place.dueMs) return false;
    this.#queue.postpone(place, due);
    return true;
  }

  /** Tells the reserve if the request is held no longer. */
  #attempt(
    place: LanePlace<A>,
    nowMs: number,
    closed: ReadonlySet<WorkerIndex>,
    request: RouteRequest | null = null,
    planned: WorkerIndex | null = null,
  ): Admitted<A>['outcome'] | Held {
    const { tenant, priority, workMs } = place;
    const kept = this.#keptFrom(tenant, priority, nowMs);
    let outcome: Admitted<A>['outcome'] | Held;
    try {
      outcome = this.#router.admit(request ?? place.item.request(), nowMs, closed, planned, kept);
    } catch (error) {
      outcome = { kind: 'failed', error };
    }
    if (outcome.kind === 'routed') this.#placed(place, outcome, nowMs);
    else if (outcome.kind !== 'held') this.#reserve?.withdrawn(tenant, workMs);
    else if (outcome.keptWorkers > 0) place.heldByReserve = true;
    return outcome;
  }

  #placed({ tenant, tokens, workMs }: LanePlace<A>, { decision, bookings }: Routed, nowMs: number): void {
    const { predictedPrefillMs } = decision;
    const eachTokens = Math.ceil(tokens / bookings.length);
    this.#reserve?.placed(tenant, tokens, workMs, predictedPrefillMs, nowMs);
    for (const booking of bookings) {
      const holder = this.#reserve?.holderOf(tenant, eachTokens);
      if (holder !== undefined) this.#router.setHolder(booking, holder);
    }
  }

  #keptFrom(tenant: string, priority: number, nowMs: number): number {
    return this.#reserve?.keptFrom(tenant, priority, nowMs) ?? 0;
  }

  #left(place: LanePlace<A>): void {
    this.#waiting -= 1;
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

const noneClosed: ReadonlySet<WorkerIndex> = new Set();

/** What a placed request takes of its tenant's share: prompt tokens that its worker has cached are not counted. */
function takenTokens({ tokens }: { readonly tokens: number }, { decision }: Routed): number {
  return Math.max(1, tokens - Math.max(0, decision.isl - decision.uncachedTokens));
}

/** Blocks of the whole request, at the first of the pool's block sizes. 0 if the pool has no worker. */
function wholeBlocks({ prompts, sequences = 1 }: RouteRequest): number {
  let blocks = 0;
  for (const { isl, hashes } of prompts) {
    const first = hashes[0];
    if (first === undefined) continue;
    blocks += first.count + sequences * blocksOf(tailTokensOf(isl, first), first.blockSize);
  }
  return blocks;
}

/**
 * What a request is expected to take of its tenant's share: prompt tokens, cached ones included, since the worker is not
 * chosen yet, and those of the answers.
 */
export function chargedTokens({ prompts, sequences = 1, maxOutputTokens = answerTokensMax }: RouteRequest): number {
  let tokens = 0;
  for (const { isl } of prompts) tokens += isl + sequences * Math.min(maxOutputTokens, answerTokensMax);
  return Math.max(1, tokens);
}
