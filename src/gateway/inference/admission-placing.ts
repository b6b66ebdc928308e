// Places an inference request on a worker, at once or after a wait in the queue, and hands its bookings to a lease.

import { type Applicant, chargedTokens, type Routed, type WorkerIndex } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';
import type { Requester } from '../exchange/exchange.ts';
import type { RequestTrace } from '../exchange/request-trace.ts';
import type { QueueObserver } from '../pools/admission-desk.ts';
import { BookingLease } from '../pools/booking-lease.ts';
import { applicantOf, type Placeable } from './admission-applicant.ts';
import type { InferenceContext } from './inference-context.ts';

export interface Placed {
  readonly routed: Routed;
  readonly worker: Worker;
  readonly lease: BookingLease;
}

/**
 * @param tried workers that must not be tried again
 * @returns null if no worker can take the request, or its client is gone
 * @throws RequestError 400 for a pin to an unknown worker; 429 if the queue is full or the client's tokens are used up; 503 if it waited too long
 */
export function place(
  { metrics, page }: Pick<InferenceContext, 'metrics' | 'page'>,
  requester: Requester,
  intake: Placeable,
  tried: ReadonlySet<WorkerIndex>,
): Placed | null | Promise<Placed | null> {
  const { trace, use } = requester;
  trace?.placing();
  if (use?.limitsTokens) use.reserve(chargedTokens(applicantOf(intake, tried).request()));
  const applicant = applicantOf(intake, tried, trace, use);
  const observer = trace === null ? metrics.admission : tracedQueue(metrics.admission, trace);
  return intake.pool.desk.place(applicant, requester, observer, (routed) => {
    trace?.placed();
    return handOver({ metrics, page }, intake, applicant, routed);
  });
}

/** Hands the bookings to a lease. If it throws, its caller still owns them. */
export function handOver(
  { metrics, page }: Pick<InferenceContext, 'metrics' | 'page'>,
  { pool, model, request, overrides }: Placeable,
  applicant: Applicant,
  routed: Routed,
): Placed {
  const { policy, reason, worker: index } = routed.decision;
  const worker = pool.worker(index);
  metrics.decisions.inc({ policy, reason });
  if (page.wantsPrompts()) page.prompts(pool.name, model, applicant.request().prompts, routed.decision);
  pool.sessions.placed(overrides.session, worker, performance.now());
  // Must come last: whoever has routed the request releases the bookings if anything throws before the lease owns them.
  return { routed, worker, lease: new BookingLease(pool.router, routed, request.sequences, worker.engine) };
}

function tracedQueue(observer: QueueObserver, trace: RequestTrace): QueueObserver {
  return {
    full: () => observer.full(),
    left: (outcome, waitedMs, heldByReserve) => {
      observer.left(outcome, waitedMs, heldByReserve);
      trace.waited(waitedMs);
    },
  };
}
