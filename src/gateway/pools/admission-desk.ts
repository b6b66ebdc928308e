// Where the requests of one pool are placed, or wait until a worker has room: the clock and the timers of admission.

import { Admission, type Admitted, type Applicant, type Routed, type Router, type Waiting } from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../exchange/exchange.ts';

export interface DeskOptions {
  /** False: every request is placed at once, however full the workers are. */
  readonly queue: boolean;
  /** Requests that wait at a time. */
  readonly queuedRequestsMax: number;
  /** How long one waits at most. */
  readonly queueWaitMsMax: number;
}

import { releaseAll } from './release-all.ts';

/**
 * How a request left the queue, or did not get in. `placed`: on its way to a worker. `refused`: no worker was left that
 * may take it. `expired`: it waited too long. `gone`: its client left. `full`: there was no place for it.
 */
export type QueueOutcome = 'placed' | 'refused' | 'expired' | 'gone' | 'full';

/** Is told what becomes of requests that have to wait. */
export interface QueueObserver {
  /** A request found the queue full. */
  full(): void;
  left(outcome: Exclude<QueueOutcome, 'full'>, waitedMs: number): void;
}

/** A request as it waits. */
interface Guest extends Applicant {
  settle(outcome: Admitted<Guest>['outcome']): void;
}

export class AdmissionDesk {
  readonly #router: Router;
  readonly #options: DeskOptions;
  readonly #admission: Admission<Guest>;
  #drains = false;

  constructor(router: Router, options: DeskOptions) {
    this.#router = router;
    this.#options = options;
    this.#admission = new Admission(router, { waitingMax: options.queuedRequestsMax });
  }

  get waiting(): number {
    return this.#admission.waiting;
  }

  get waitingBlocks(): number {
    return this.#admission.waitingBlocks;
  }

  /** To be called with every `onRoomChange` of the router; what waits is looked at when the present step is over. */
  roomChanged(): void {
    if (this.#drains || this.#admission.waiting === 0) return;
    this.#drains = true;
    queueMicrotask(() => {
      this.#drains = false;
      for (const { applicant, outcome } of this.#admission.drain(performance.now())) applicant.settle(outcome);
    });
  }

  /**
   * Places a request, at once where there is room.
   * @param booked called in the step that has booked it, to take the bookings over; if it throws, they are released
   * @returns what `booked` returns; null: no worker may take the request, or the client is gone
   * @throws RequestError 429 if the queue is full, 503 if it waited too long (the promise rejects)
   */
  place<T>(
    applicant: Applicant,
    exchange: Exchange,
    observer: QueueObserver,
    booked: (routed: Routed) => T,
  ): T | null | Promise<T | null> {
    const nowMs = performance.now();
    const guest: Guest = { ...applicant, settle: () => undefined };
    const entry = this.#options.queue
      ? this.#admission.enter(guest, nowMs)
      : this.#router.route(applicant.request(), nowMs);
    switch (entry.kind) {
      case 'routed':
        return this.#handOver(entry, booked);
      case 'refused':
        return null;
      case 'full':
        observer.full();
        throw queueFull(this.#options.queuedRequestsMax, entry.retryAfterS);
      case 'waiting':
        return this.#wait(guest, entry.waiting, exchange, observer, booked);
    }
  }

  #wait<T>(
    guest: Guest,
    place: Waiting<Guest>,
    exchange: Exchange,
    observer: QueueObserver,
    booked: (routed: Routed) => T,
  ): Promise<T | null> {
    const sinceMs = performance.now();
    const { queueWaitMsMax } = this.#options;
    return new Promise((resolve, reject) => {
      const left = (outcome: Exclude<QueueOutcome, 'full'>): void => {
        observer.left(outcome, performance.now() - sinceMs);
      };
      /** Nobody catches what a timer, an event or a drain throws: here it rejects. */
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
        // Room that was kept for it is there for others.
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
      exchange.whenGone(() => {
        withdraw(() => {
          left('gone');
          return null;
        });
      });
      this.roomChanged();
    });
  }

  /** Until `booked` has taken the bookings over, they are released here if anything throws. */
  #handOver<T>(routed: Routed, booked: (routed: Routed) => T): T {
    try {
      return booked(routed);
    } catch (error) {
      releaseAll(this.#router, routed, 'failed', performance.now());
      throw error;
    }
  }
}

function queueFull(queuedRequestsMax: number, retryAfterS: number): RequestError {
  return new RequestError(
    429,
    'queue_full',
    `all workers are full, and ${queuedRequestsMax} requests wait already (queuedRequestsMax)`,
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
