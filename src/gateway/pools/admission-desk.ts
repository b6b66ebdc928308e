// Places the requests of one pool, or queues them until a worker has room; adds clock and timers to `Admission`.
//
// If the router plans bursts, requests that become ready in the same turn of the event loop are placed together.

import {
  Admission,
  type Admitted,
  type Applicant,
  type Held,
  type Planned,
  type Refused,
  type Routed,
  type RouteRequest,
  type Router,
  type Waiting,
  type WorkerIndex,
} from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Requester } from '../exchange/exchange.ts';
import { releaseAll } from './release-all.ts';
import { TurnGathering } from './turn-gathering.ts';

/**
 * Late binding and the tenant reserve look at the queue this often. When a worker has computed the prompt of an answer in
 * one piece is only estimated, and workers are no longer kept free after a time, so no event starts the next request.
 */
const lookAgainMs = 50;

export interface DeskOptions {
  /** False: every request is placed at once, however full the workers are. */
  readonly queue: boolean;
  /** Requests in the queue. */
  readonly queuedRequestsMax: number;
  /** Longest wait in the queue. */
  readonly queueWaitMsMax: number;
  /** How long after a tenant's last request workers are kept free for it. 0: none are. */
  readonly tenantReserveS: number;
}

/**
 * How a request left the queue. `placed`: a worker took it. `refused`: no worker can take it any more. `expired`: it
 * waited too long. `gone`: its client disconnected. `full`: the queue had no place for it. `displaced`: the queue was full,
 * and its place went to a tenant with fewer requests in it.
 */
export type QueueOutcome = 'placed' | 'refused' | 'expired' | 'gone' | 'full' | 'displaced';

/** Receives the queue's events. */
export interface QueueObserver {
  /** A request found the queue full. */
  full(): void;
  /** @param heldByReserve it was held while workers were kept free for other tenants */
  left(outcome: Exclude<QueueOutcome, 'full'>, waitedMs: number, heldByReserve: boolean): void;
}

/** A queued request. */
interface Guest extends Applicant {
  settle(outcome: Admitted<Guest>['outcome']): void;
  displace(retryAfterS: number): void;
}

/** A request that is ready to be placed. */
interface Ready {
  readonly exchange: Pick<Requester, 'gone'>;
  readonly applicant: Applicant;
  /** @param planned the worker that the plan assigns to it */
  place(planned: WorkerIndex | null): void;
  /** The client is gone. */
  drop(): void;
  fail(error: unknown): void;
}

export class AdmissionDesk {
  readonly #router: Router;
  readonly #options: DeskOptions;
  readonly #admission: Admission<Guest>;
  readonly #gathering = new TurnGathering<Ready>((ready) => this.#placeTogether(ready));
  #drains = false;
  #looksAgain = false;

  constructor(router: Router, options: DeskOptions) {
    this.#router = router;
    this.#options = options;
    this.#admission = new Admission(router, {
      waitingMax: options.queuedRequestsMax,
      tenantReserveMs: options.tenantReserveS * 1000,
    });
  }

  get waiting(): number {
    return this.#admission.waiting;
  }

  get waitingBlocks(): number {
    return this.#admission.waitingBlocks;
  }

  /** Workers that tenants with more requests than their share leave free now. */
  get keptWorkers(): number {
    return this.#admission.keptWorkers(performance.now());
  }

  waitingByTenant(): ReadonlyMap<string, number> {
    return this.#admission.waitingByTenant();
  }

  /** To be called on every `onRoomChange` of the router. Drains the queue in a microtask, after the current step. */
  roomChanged(): void {
    if (this.#drains || this.#admission.waiting === 0) return;
    this.#drains = true;
    queueMicrotask(() => {
      this.#drains = false;
      for (const { applicant, outcome } of this.#admission.drain(performance.now())) applicant.settle(outcome);
      this.#lookAgain();
    });
  }

  #lookAgain(): void {
    if (this.#looksAgain || this.#admission.waiting === 0) return;
    if (this.#router.lateBinding === null && this.keptWorkers === 0) return;
    this.#looksAgain = true;
    setTimeout(() => {
      this.#looksAgain = false;
      this.roomChanged();
    }, lookAgainMs).unref();
  }

  /**
   * Places a request, at once if a worker has room; if the router plans bursts, at the end of this turn.
   * @param booked called in the same step as the booking, to take over the bookings; if it throws, they are released
   * @returns what `booked` returns; null if no worker can take the request or the client is gone
   * @throws RequestError 429 if the queue is full; the promise rejects with 503 after too long a wait
   */
  place<T>(
    applicant: Applicant,
    exchange: Pick<Requester, 'gone' | 'whenGone'>,
    observer: QueueObserver,
    booked: (routed: Routed) => T,
  ): T | null | Promise<T | null> {
    if (!this.#router.plansBursts) return this.#enter(applicant, exchange, observer, booked, null);
    return new Promise((resolve, reject) => {
      this.#gathering.add({
        exchange,
        applicant,
        place: (planned) => resolve(this.#enter(applicant, exchange, observer, booked, planned)),
        drop: () => resolve(null),
        fail: reject,
      });
    });
  }

  /** Places a request that does not wait. */
  placeNow(applicant: Applicant): Routed | Refused | Held {
    const nowMs = performance.now();
    if (!this.#options.queue) return this.#router.route(applicant.request(), nowMs);
    return this.#admission.placeNow(withoutWait(applicant), nowMs);
  }

  #placeTogether(ready: readonly Ready[]): void {
    const present: Ready[] = [];
    for (const one of ready) {
      if (one.exchange.gone) one.drop();
      else present.push(one);
    }
    for (const { index, worker } of this.#planned(present)) {
      const one = present[index]!;
      try {
        one.place(worker);
      } catch (error) {
        one.fail(error);
      }
    }
  }

  /** Without a plan: in order of arrival, without workers. */
  #planned(ready: readonly Ready[]): readonly Planned[] {
    const inOrder: Planned[] = [];
    for (let index = 0; index < ready.length; index++) inOrder.push({ index, worker: null });
    if (ready.length < 2 || this.#admission.waiting > 0) return inOrder;
    try {
      const requests: RouteRequest[] = [];
      for (const { applicant } of ready) requests.push(applicant.request());
      return this.#router.plan(requests, performance.now());
    } catch (error) {
      for (const { fail } of ready) fail(error);
      return [];
    }
  }

  #enter<T>(
    applicant: Applicant,
    exchange: Pick<Requester, 'gone' | 'whenGone'>,
    observer: QueueObserver,
    booked: (routed: Routed) => T,
    planned: WorkerIndex | null,
  ): T | null | Promise<T | null> {
    const nowMs = performance.now();
    const guest = withoutWait(applicant);
    const entry = this.#options.queue
      ? this.#admission.enter(guest, nowMs, planned)
      : this.#router.route(applicant.request(), nowMs, planned);
    switch (entry.kind) {
      case 'routed':
        return this.#handOver(entry, booked);
      case 'refused':
        return null;
      case 'full':
        observer.full();
        throw queueFull(this.#options.queuedRequestsMax, entry.retryAfterS);
      case 'waiting':
        entry.displaced?.applicant.displace(entry.displaced.retryAfterS);
        return this.#wait(guest, entry.waiting, exchange, observer, booked);
    }
  }

  #wait<T>(
    guest: Guest,
    place: Waiting<Guest>,
    exchange: Pick<Requester, 'gone' | 'whenGone'>,
    observer: QueueObserver,
    booked: (routed: Routed) => T,
  ): Promise<T | null> {
    const sinceMs = performance.now();
    const { queueWaitMsMax } = this.#options;
    return new Promise((resolve, reject) => {
      const left = (outcome: Exclude<QueueOutcome, 'full'>): void => {
        observer.left(outcome, performance.now() - sinceMs, place.heldByReserve);
      };
      /** Turns a throw into a rejection: it would otherwise escape from a timer, an event or a drain. */
      const end = (result: () => T | null): void => {
        clearTimeout(timer);
        exchange.whenGone(() => undefined);
        try {
          resolve(result());
        } catch (error) {
          reject(error as Error);
        }
      };
      const withdraw = (result: () => null): void => {
        this.#admission.withdraw(place);
        end(result);
        // The room reserved for this request is free again.
        this.roomChanged();
      };
      const timer = setTimeout(() => {
        withdraw(() => {
          left('expired');
          throw waitedTooLong(queueWaitMsMax);
        });
      }, queueWaitMsMax);
      guest.settle = (outcome) => {
        end(() => {
          if (outcome.kind === 'failed') throw outcome.error;
          if (outcome.kind === 'routed') {
            return this.#handOver(outcome, (routed) => {
              left('placed');
              return booked(routed);
            });
          }
          left('refused');
          return null;
        });
      };
      // The admission has removed it already.
      guest.displace = (retryAfterS) => {
        end(() => {
          left('displaced');
          throw queueFull(this.#options.queuedRequestsMax, retryAfterS);
        });
      };
      exchange.whenGone(() => {
        withdraw(() => {
          left('gone');
          return null;
        });
      });
      this.roomChanged();
    });
  }

  /** Releases the bookings if `booked` throws before it has taken them over. */
  #handOver<T>(routed: Routed, booked: (routed: Routed) => T): T {
    try {
      return booked(routed);
    } catch (error) {
      releaseAll(this.#router, routed, 'failed', performance.now());
      throw error;
    }
  }
}

function withoutWait(applicant: Applicant): Guest {
  return { settle: () => undefined, displace: () => undefined, ...applicant };
}

function queueFull(queuedRequestsMax: number, retryAfterS: number): RequestError {
  return new RequestError(
    429,
    'queue_full',
    `all workers are full, and so is the queue of ${queuedRequestsMax} requests (queuedRequestsMax)`,
    null,
    retryAfterS,
  );
}

function waitedTooLong(queueWaitMsMax: number): RequestError {
  return new RequestError(
    503,
    'queue_wait_exceeded',
    `no worker had room for the request within ${queueWaitMsMax} ms (queueWaitMsMax)`,
  );
}
