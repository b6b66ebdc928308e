// A reservation in force: a booked request whose tokens its caller reports, and the memory that it takes.

import type { Outcome } from '../../core/index.ts';
import type { Usage } from '../../wire/completion-chunk.ts';
import type { Placed } from '../inference/admission-placing.ts';
import type { AttemptBook } from '../inference/attempt-book.ts';
import type { RelayOutcome } from '../inference/attempt-outcome.ts';
import type { EndKind } from './reservation-table.ts';

/** Memory of a reservation besides its blocks and its decision: entry, record, booking, lease. */
const fixedBytes = 2048;
/** A hash, and its share of the tree of promised blocks. */
const blockBytes = 24;
/** All cost terms of one candidate. */
const candidateBytes = 256;

/** Estimated memory that a reservation takes until it ends. */
export function reservationBytes(isl: number, blockSizeMin: number, workerCount: number): number {
  return fixedBytes + Math.ceil(isl / blockSizeMin) * blockBytes + workerCount * candidateBytes;
}

export interface ReservationParts {
  readonly id: string;
  readonly placed: Placed;
  readonly book: AttemptBook;
  /** Gives its memory back. */
  free(): void;
  readonly model: string;
  readonly sequences: number;
}

export class Reservation {
  readonly id: string;
  readonly placed: Placed;
  readonly model: string;
  /** Of each sequence, as reported so far. */
  readonly outputTokens: number[];
  /** Its bookings have ended with the worker; the rest of it is about to. */
  workerRemoved = false;
  readonly #book: AttemptBook;
  readonly #free: () => void;
  #decodes = false;

  constructor({ id, placed, book, free, model, sequences }: ReservationParts) {
    this.id = id;
    this.placed = placed;
    this.model = model;
    this.outputTokens = new Array<number>(sequences).fill(0);
    this.#book = book;
    this.#free = free;
  }

  /** Of all sequences, as reported so far. */
  get outputTokensSum(): number {
    return this.outputTokens.reduce((sum, tokens) => sum + tokens, 0);
  }

  /** Whether it has had its first token. */
  get decodes(): boolean {
    return this.#decodes;
  }

  /** Idempotent. */
  firstToken(nowMs: number): void {
    if (this.#decodes) return;
    this.#decodes = true;
    this.#book.tokens(0, 0, nowMs);
  }

  /** @param total tokens of the sequence so far; fewer than before change nothing */
  output(choice: number, total: number, nowMs: number): void {
    const added = total - this.outputTokens[choice]!;
    if (added <= 0) return;
    this.#decodes = true;
    this.outputTokens[choice] = total;
    this.#book.tokens(choice, added, nowMs);
  }

  /** Releases the bookings and the memory, and completes the decision record. To be called once. */
  end(how: EndKind, outcome: Outcome, usage: Usage | null): void {
    try {
      this.placed.lease.release(outcome, performance.now());
      const reported = this.outputTokensSum;
      this.#book.settled({
        outcome: relayOutcome(how, outcome),
        status: outcome === 'done' ? 200 : 0,
        streamError: null,
        // The engine's own count is the better one: callers need not report the last tokens.
        outputTokens: usage === null && reported > 0 ? reported : null,
        usage: usage ?? 'absent',
        responseId: null,
      });
    } finally {
      this.#free();
    }
  }
}

/** In the words of relayed requests. */
function relayOutcome(how: EndKind, outcome: Outcome): RelayOutcome {
  if (how !== 'released') return { kind: 'cut', status: 0, error: new Error(`the reservation ended: ${how}`) };
  switch (outcome) {
    case 'done':
      return { kind: 'answered', status: 200 };
    case 'failed':
      return { kind: 'cut', status: 0, error: new Error('reported as failed') };
    case 'aborted':
      return { kind: 'gone' };
  }
}
