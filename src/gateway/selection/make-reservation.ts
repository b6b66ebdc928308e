// Chooses a worker and books: at once, or after a wait in the pool's queue. On every error nothing stays booked.

import { chargedTokens, type WorkerIndex } from '../../core/index.ts';
import { RequestError } from '../../wire/openai-error.ts';
import { applicantOf } from '../inference/admission-applicant.ts';
import { handOver, type Placed, place } from '../inference/admission-placing.ts';
import { type Booked, bookOf } from '../inference/attempt-book.ts';
import { releaseAll } from '../pools/release-all.ts';
import type { Made } from './answers.ts';
import { callerGone, deletedFirst, noWorker } from './errors.ts';
import { Reservation, reservationBytes } from './reservation.ts';
import type { ReservationMemory } from './reservation-memory.ts';
import type { SelectionContext } from './selection-context.ts';
import type { WaitingReservation } from './waiting-reservation.ts';

/** Until a worker may have room again: a guess. */
const retryAfterS = 1;

export interface Wanted {
  readonly intake: Booked;
  readonly excluded: ReadonlySet<WorkerIndex>;
  readonly isl: number;
  /** The API key whose part of the memory it takes; null: it may take everything. */
  readonly key: string | null;
  /** Longest wait for room; undefined: as the queue is configured. */
  readonly waitMs: number | undefined;
  /** Takes the reservation over, in the step in which it is made. */
  hold(reservation: Reservation): void;
}

/** @throws RequestError 410 if it is deleted meanwhile, 429 or 503 if it finds no room */
export async function makeReservation(
  context: SelectionContext,
  memory: ReservationMemory,
  waiting: WaitingReservation,
  wanted: Wanted,
): Promise<Made> {
  const { intake, excluded, isl, key } = wanted;
  const { pool, model, request } = intake;
  const sizes = pool.router.blockSizes();
  const { use } = waiting;
  let giveBack = (): void => undefined;
  const free = (): void => {
    giveBack();
    use.end();
  };
  let placed: Placed | null = null;
  let made = false;
  try {
    if (waiting.gone) throw notMade(waiting, wanted);
    giveBack = memory.take(key, reservationBytes(isl, Math.min(...sizes, isl), pool.workerIds.size));
    placed = wanted.waitMs === 0 ? placeNow(context, waiting, wanted) : await placeOrWait(context, waiting, wanted);
    // Also if it was cancelled after its worker was found.
    if (placed === null || waiting.gone) throw notMade(waiting, wanted);
    const book = bookOf(context, waiting, bookable(intake), { placed, number: 1, tried: excluded });
    const parts = { id: waiting.id, placed, book, free, model, sequences: request.sequences };
    const reservation = new Reservation(parts);
    wanted.hold(reservation);
    made = true;
    return { reservation, workerIds: pool.workerIds };
  } finally {
    if (!made) {
      placed?.lease.release('failed', performance.now());
      free();
    }
  }
}

/** A reservation lasts: it keeps the hashes that its booking counts, not the token ids that they were made from. */
function bookable(intake: Booked): Booked {
  return {
    ...intake,
    isReported: true,
    hashed: () => {
      throw new Error('a reservation is placed once');
    },
  };
}

async function placeOrWait(
  context: SelectionContext,
  waiting: WaitingReservation,
  { intake, excluded, waitMs }: Wanted,
): Promise<Placed | null> {
  const timer = waitMs === undefined ? undefined : setTimeout(() => waiting.cancel('waited'), waitMs);
  try {
    return await place(context, waiting, intake, excluded);
  } finally {
    clearTimeout(timer);
  }
}

/** @throws RequestError 429 if every worker is full, or others wait already, or the key's tokens are used up */
function placeNow(context: SelectionContext, { use }: WaitingReservation, { intake, excluded }: Wanted): Placed | null {
  const { config } = context;
  const { router, desk } = intake.pool;
  const nowMs = performance.now();
  const applicant = applicantOf(intake, excluded, null, use);
  const request = applicant.request();
  if (config.queue && desk.waiting > 0) throw full();
  if (use.limitsTokens) use.reserve(chargedTokens(request));
  const routed = desk.placeNow(applicant);
  if (routed.kind === 'held') throw full();
  if (routed.kind === 'refused') return null;
  try {
    return handOver(context, intake, applicant, routed);
  } catch (error) {
    releaseAll(router, routed, 'failed', nowMs);
    throw error;
  }
}

function notMade({ id, cancelled }: WaitingReservation, { intake, excluded }: Wanted): RequestError {
  switch (cancelled) {
    case 'deleted':
      return deletedFirst(id);
    case 'waited':
      return full();
    case 'caller-gone':
      return callerGone();
    case null:
      return noWorker(intake, excluded);
  }
}

function full(): RequestError {
  return new RequestError(429, 'workers_full', 'every worker is full (waitMs)', 'waitMs', retryAfterS);
}
