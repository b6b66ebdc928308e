// The answers of the selection service, in the shapes of shapes.ts.

import type { CandidateCost, Decision, WorkerIndex } from '../../core/index.ts';
import type { Worker } from '../engines/engine.ts';
import type { Reservation } from './reservation.ts';
import type { Entry } from './reservation-table.ts';

/** A reservation as it was made. */
export interface Made {
  readonly reservation: Reservation;
  /** Ids of the candidates, as of the choice. */
  readonly workerIds: ReadonlyMap<WorkerIndex, string>;
}

export function whereIs({ id, engine, rank }: Worker): { worker: string; url: string; rank: number } {
  return { worker: id, url: engine.url, rank };
}

export function chosen(worker: Worker, model: string, decision: Decision): object {
  const { policy, reason, isl, overlapBlocks, overlapTokens, uncachedTokens } = decision;
  const { predictedTtftMs, predictedTpotMs } = decision;
  return {
    ...whereIs(worker),
    ...{ model, policy, reason, isl, overlapBlocks, overlapTokens, uncachedTokens, predictedTtftMs, predictedTpotMs },
  };
}

export function named({ worker, ...terms }: CandidateCost, ids: ReadonlyMap<number, string>): object {
  return { worker: ids.get(worker) ?? null, ...terms };
}

export function reservedAnswer({ reservation, workerIds }: Made, leaseMs: number, terms: boolean): object {
  const { id, model, placed } = reservation;
  const { decision } = placed.routed;
  const candidates = decision.candidates();
  const costs = candidates.map(({ worker, cost }) => ({ worker: workerIds.get(worker) ?? null, cost }));
  return {
    id,
    leaseS: leaseMs / 1000,
    ...chosen(placed.worker, model, decision),
    costs,
    ...(terms && { candidates: candidates.map((candidate) => named(candidate, workerIds)) }),
  };
}

export function reservationAnswer(
  { leaseMs }: Entry<Reservation>,
  { id, placed, outputTokens, decodes }: Reservation,
): object {
  const state = decodes ? 'decode' : 'prefill';
  return { id, ...whereIs(placed.worker), state, outputTokens, leaseS: leaseMs / 1000 };
}
