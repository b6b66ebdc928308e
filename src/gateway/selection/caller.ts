// Who calls the selection service, and what ends when it goes.

import type { ClientKey } from '../config/tenants.ts';
import type { Reservation } from './reservation.ts';
import type { Holder } from './reservation-table.ts';
import type { WaitingReservation } from './waiting-reservation.ts';

/** Who calls: one request, or one connection. */
export class Caller {
  /** Null: the admin key, or none is needed. */
  readonly key: ClientKey | null;
  readonly requestId: string;
  /** Holds what it reserves; null: the leases do alone. */
  readonly holder: Holder<Reservation> | null;
  /** Reservations of this caller that are being made, to be cancelled when it goes. */
  readonly waiting: Set<WaitingReservation> = new Set();
  /** It can reserve nothing any more: nobody would release that. */
  gone = false;

  constructor(key: ClientKey | null, requestId: string, holder: Holder<Reservation> | null) {
    this.key = key;
    this.requestId = requestId;
    this.holder = holder;
  }
}
