// Where the requests of one pool are placed, or wait until a worker has room: the clock and the timers of admission.

import { Admission, type Applicant, type Refused, type Routed, type Router, type Waiting } from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import type { Exchange } from '../http/exchange.ts';

export interface DeskOptions {
  /** False: every request is placed at once, however full the workers are. */
  readonly queue: boolean;
  /** Requests that wait at a time. */
  readonly queuedRequestsMax: number;
  /** How long one waits at most. */
  readonly queueWaitMsMax: number;
}

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
  settle(outcome: Routed | Refused): void;
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
   * @param booked called in the step that has booked it
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
        return booked(entry);
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
        clearTimeout(timer);
        exchange.whenGone(() => undefined);
        observer.left(outcome, performance.now() - sinceMs);
      };
      const withdraw = (outcome: 'expired' | 'gone'): void => {
        this.#admission.withdraw(place);
        left(outcome);
        // Room that was kept for it is there for others.
        this.roomChanged();
      };
      const timer = setTimeout(() => {
        withdraw('expired');
        reject(waitedTooLong(queueWaitMsMax));
      }, queueWaitMsMax);
      guest.settle = (outcome) => {
        left(outcome.kind === 'routed' ? 'placed' : 'refused');
        resolve(outcome.kind === 'routed' ? booked(outcome) : null);
      };
      exchange.whenGone(() => {
        withdraw('gone');
        resolve(null);
      });
      this.roomChanged();
    });
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
