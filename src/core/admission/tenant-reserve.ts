// Tenant reserve: how many workers a tenant that asks for more than its share leaves free for the others.
//
// An engine can't be told to interrupt a prompt, so what a burst has sent to a worker delays every later request there.
// A tenant with few requests is served at once only if some workers are free of the burst. How many, follows from what the
// tenants with few requests ask for: enough that their prefill keeps these workers busy for `busyShare` of the time (as
// in any queue, waiting grows with 1 / (1 - busy)), and at least one while there is such a tenant. A burst never gets
// less than its weighted share of the workers.
//
// What a tenant has had beyond its share is predicted prefill time of its placed requests, paid off as fast as its share of
// the workers would compute it (Virtual Clock, Zhang 1990). While that and its waiting requests exceed `patienceMs` of its
// share, the tenant is a burst, and leaves the reserve free. Because long answers may fill the workers with little prefill,
// it is one too while its requests in flight have more than its share of the KV cache or of the requests that may run, or
// while more of its requests wait than `patienceRequests` for each worker of its share. Nothing is kept free while only
// one tenant is there.
//
// Each of several routers counts its own requests, and takes them for an equal part of those of all: it compares a tenant
// with its part of the share, and keeps as many workers free as all parts together need.

import type { BookingHolder } from '../ledger/active-blocks.ts';
import type { PoolRoom } from '../ledger/worker-table.ts';

/** Default of the time for which workers are kept free after a tenant's last request, in seconds. */
export const tenantReserveSDefault = 30;

/** Numbers of the reserve, all times in ms. */
export const reserveNumbers = {
  /** Share of their time that the kept workers spend on prefill. More fills the pool better, and delays others more. */
  busyShare: 0.2,
  /** A tenant within this much work of its share is no burst. */
  patienceMs: 1000,
  /** Nor is one with so many waiting requests for each worker of its share. */
  patienceRequests: 4,
  /** Of what a tenant has had beyond its share, this much of its share is remembered. */
  excessMsMax: 10_000,
  /** Time over which the work of a tenant is averaged. */
  rateWindowMs: 30_000,
  /** Shares and needs are computed anew after this time. */
  refreshMs: 100,
  /** Assumed before a tenant's first request is placed. */
  assumedMsPerToken: 0.5,
  /** Weight of one request in a tenant's mean prefill time per token. */
  tokenGain: 0.05,
} as const;

const { busyShare, patienceMs, patienceRequests, excessMsMax, rateWindowMs } = reserveNumbers;
const { refreshMs, assumedMsPerToken, tokenGain } = reserveNumbers;

/** What a tenant has asked for. */
class TenantUse {
  /** As of the last refresh. 0: it is not there, or is there no longer. */
  weight = 0;
  /** Of its latest request, like the priority. */
  latestWeight = 0;
  priority = 0;
  lastMs: number;
  /** Waiting requests, and their predicted work. */
  waiting = 0;
  waitingMs = 0;
  /** Bookings in flight, and their tokens if they share none. */
  bookings = 0;
  bookedTokens = 0;
  /** Placed work beyond its share, as of `paidMs`. */
  excessMs = 0;
  paidMs: number;
  /** Workers that its requests keep busy, averaged, as of `placedMs`. */
  busyWorkers = 0;
  placedMs: number;
  /** Mean prefill time per charged token. 0 before its first request is placed. */
  msPerToken = 0;
  /** What it adds to its level, as of the last refresh. 0 for a burst. */
  countedWeight = 0;
  countedWorkers = 0;
  countedPriority = 0;

  constructor(nowMs: number) {
    this.lastMs = nowMs;
    this.paidMs = nowMs;
    this.placedMs = nowMs;
  }

  /** One of its waiting requests leaves. The sum of none is exactly 0. */
  leave(workMs: number): void {
    this.waiting -= 1;
    this.waitingMs = this.waiting === 0 ? 0 : this.waitingMs - workMs;
  }

  busyAt(nowMs: number): number {
    return this.busyWorkers * Math.exp((this.placedMs - nowMs) / rateWindowMs);
  }
}

/** A booking of a tenant. */
class Holding implements BookingHolder {
  readonly #use: TenantUse;
  readonly #tokens: number;

  constructor(use: TenantUse, tokens: number) {
    this.#use = use;
    this.#tokens = tokens;
    use.bookings += 1;
    use.bookedTokens += tokens;
  }

  bookingEnded(): void {
    this.#use.bookings -= 1;
    this.#use.bookedTokens -= this.#tokens;
  }
}

/** The tenants within their share whose latest requests have one priority. */
interface Level {
  weight: number;
  busyWorkers: number;
}

/** Every call is O(priorities) but for a refresh, O(tenants), every `refreshMs` or when a tenant appears. */
export class TenantReserve {
  readonly #keepMs: number;
  readonly #roomNow: () => PoolRoom;
  readonly #uses = new Map<string, TenantUse>();
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #room: PoolRoom = { workers: 0, tokens: 0, requests: 0, routers: 1 };
  #weights = 0;
  /** By priority. */
  readonly #levels = new Map<number, Level>();

  /**
   * @param keepMs workers are kept free for a tenant until this long after its last request
   * @param room of the workers that take requests
   */
  constructor(keepMs: number, room: () => PoolRoom) {
    this.#keepMs = keepMs;
    this.#roomNow = room;
  }

  /** A request has arrived. @returns its predicted work, to be passed to `placed` or `withdrawn` once */
  arrived(tenant: string, weight: number, priority: number, tokens: number, nowMs: number): number {
    this.#refresh(nowMs);
    let use = this.#uses.get(tenant);
    if (use === undefined) {
      use = new TenantUse(nowMs);
      this.#uses.set(tenant, use);
    }
    use.latestWeight = weight;
    use.priority = priority;
    use.lastMs = nowMs;
    if (use.weight === 0) this.#refreshAt(nowMs);
    const workMs = tokens * (use.msPerToken || assumedMsPerToken);
    use.waiting += 1;
    use.waitingMs += workMs;
    return workMs;
  }

  /** @param prefillMs as predicted for the worker that was chosen */
  placed(tenant: string, tokens: number, workMs: number, prefillMs: number, nowMs: number): void {
    const use = this.#uses.get(tenant)!;
    use.leave(workMs);
    const excessMs = this.#excessAt(use, nowMs) + prefillMs;
    use.excessMs = Math.min(excessMs, excessMsMax * this.#workersOf(use));
    use.paidMs = nowMs;
    const msPerToken = prefillMs / tokens;
    use.msPerToken = use.msPerToken === 0 ? msPerToken : use.msPerToken + (msPerToken - use.msPerToken) * tokenGain;
    use.busyWorkers = use.busyAt(nowMs) + prefillMs / rateWindowMs;
    use.placedMs = nowMs;
  }

  /** To be called for each booking of a placed request. @returns what must be told of its end */
  holderOf(tenant: string, tokens: number): BookingHolder {
    return new Holding(this.#uses.get(tenant)!, tokens);
  }

  /** The request has left without being placed. */
  withdrawn(tenant: string, workMs: number): void {
    this.#uses.get(tenant)!.leave(workMs);
  }

  /** Workers that requests of this tenant and priority must leave free. Always fewer than there are. */
  keptFrom(tenant: string, priority: number, nowMs: number): number {
    this.#refresh(nowMs);
    const use = this.#uses.get(tenant);
    return use === undefined ? 0 : this.#keptFrom(use, priority, nowMs);
  }

  /** Workers kept free now, for displays: the most of any tenant. O(tenants) */
  kept(nowMs: number): number {
    let most = 0;
    for (const use of this.#uses.values()) most = Math.max(most, this.#keptFrom(use, use.priority, nowMs));
    return most;
  }

  #keptFrom(use: TenantUse, priority: number, nowMs: number): number {
    if (this.#weights === 0 || this.#isCalm(use, nowMs)) return 0;
    let weight = 0;
    let busyWorkers = 0;
    for (const [of, level] of this.#levels) {
      if (of > priority) continue;
      weight += level.weight;
      busyWorkers += level.busyWorkers;
    }
    // It may have become a burst since the refresh.
    if (use.countedPriority <= priority) {
      weight -= use.countedWeight;
      busyWorkers -= use.countedWorkers;
    }
    // Rounding errors of the sums must not add a worker.
    const neededWorkers = Math.max(1, Math.ceil((busyWorkers * this.#room.routers) / busyShare - 1e-9));
    return Math.min(Math.max(0, Math.floor((this.#room.workers * weight) / this.#weights)), neededWorkers);
  }

  /** This router's part of the workers that are its share: so much of its work here is done in a millisecond. */
  #workersOf({ weight }: TenantUse): number {
    return this.#weights === 0 ? 0 : ((weight / this.#weights) * this.#room.workers) / this.#room.routers;
  }

  #excessAt(use: TenantUse, nowMs: number): number {
    if (use.excessMs === 0) return 0;
    return Math.max(0, use.excessMs - (nowMs - use.paidMs) * this.#workersOf(use));
  }

  #isCalm(use: TenantUse, nowMs: number): boolean {
    const shareWorkers = this.#workersOf(use);
    if (use.waiting > patienceRequests * shareWorkers) return false;
    const { workers, tokens, requests } = this.#room;
    const share = shareWorkers / workers;
    if (use.bookings > share * requests || use.bookedTokens > share * tokens) return false;
    return use.waitingMs + this.#excessAt(use, nowMs) <= patienceMs * shareWorkers;
  }

  #refresh(nowMs: number): void {
    if (nowMs - this.#refreshedMs >= refreshMs) this.#refreshAt(nowMs);
  }

  #refreshAt(nowMs: number): void {
    this.#refreshedMs = nowMs;
    for (const [tenant, use] of this.#uses) {
      use.excessMs = this.#excessAt(use, nowMs);
      use.paidMs = nowMs;
      const isGone = use.waiting === 0 && use.excessMs === 0 && nowMs - use.lastMs > this.#keepMs;
      use.weight = isGone ? 0 : use.latestWeight;
      if (isGone && use.bookings === 0) this.#uses.delete(tenant);
    }
    this.#room = this.#roomNow();
    this.#weights = 0;
    for (const { weight } of this.#uses.values()) this.#weights += weight;
    this.#levels.clear();
    for (const use of this.#uses.values()) this.#count(use, nowMs);
  }

  #count(use: TenantUse, nowMs: number): void {
    const isCalm = this.#isCalm(use, nowMs);
    use.countedWeight = isCalm ? use.weight : 0;
    use.countedWorkers = isCalm ? use.busyAt(nowMs) : 0;
    use.countedPriority = use.priority;
    if (!isCalm) return;
    const level = this.#levels.get(use.priority) ?? { weight: 0, busyWorkers: 0 };
    level.weight += use.countedWeight;
    level.busyWorkers += use.countedWorkers;
    this.#levels.set(use.priority, level);
  }
}
