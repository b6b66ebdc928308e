// Metrics of the selection service: its operations, the reservations in force, and how they ended.

import { Counter, Gauge, type Registry } from 'prom-client';

/** Reservations now. */
export interface ReservationFigures {
  readonly live: number;
  /** Being made. */
  readonly waiting: number;
  /** Memory that they take, as estimated. */
  readonly bytes: number;
}

export class SelectionMetrics {
  /** By operation and status of its answer, whether alone, in a batch or on a connection. */
  readonly operations: Counter<'operation' | 'status'>;
  readonly ended: Counter<'end'>;
  figures: () => ReservationFigures = () => ({ live: 0, waiting: 0, bytes: 0 });

  constructor(registry: Registry) {
    const registers = [registry];
    this.operations = new Counter({
      name: 'kvoyant_selection_operations_total',
      help: 'Operations of the selection service, by operation and status.',
      labelNames: ['operation', 'status'],
      registers,
    });
    this.ended = new Counter({
      name: 'kvoyant_reservations_ended_total',
      help: 'Reservations that ended, by end: as reported (done, failed, aborted), leaked, worker-removed or connection-closed.',
      labelNames: ['end'],
      registers,
    });
    const figures = (): ReservationFigures => this.figures();
    new Gauge({
      name: 'kvoyant_reservations',
      help: 'Reservations, by state: live, or waiting for tokens or a worker.',
      labelNames: ['state'],
      registers,
      collect() {
        const { live, waiting } = figures();
        this.set({ state: 'live' }, live);
        this.set({ state: 'waiting' }, waiting);
      },
    });
    new Gauge({
      name: 'kvoyant_reservation_bytes',
      help: 'Memory held for reservations, as estimated; at most reservationsBytesMax.',
      registers,
      collect() {
        this.set(figures().bytes);
      },
    });
  }
}
