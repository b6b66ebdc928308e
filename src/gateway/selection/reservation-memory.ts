// The memory of reservations, which is limited apart from that of requests: a reservation lasts as long as its caller says.

import { getHeapStatistics } from 'node:v8';
import type { GatewayConfig } from '../config/config.ts';
import { LimitReached } from '../exchange/limit-reached.ts';
import { keyPart } from './key-part.ts';

/** Share of V8's heap limit. */
const heapShare = 0.25;
/** Until reservations have ended: a guess. */
const retryAfterS = 1;

/** The setting, or a default that fits this process's heap. */
export function reservationsBytesMax({
  reservationsBytesMax: set,
}: Pick<GatewayConfig, 'reservationsBytesMax'>): number {
  return set === 'auto' ? heapShare * getHeapStatistics().heap_size_limit : set;
}

export class ReservationMemory {
  readonly #bytesMax: () => number;
  readonly #byKey = new Map<string | null, number>();
  #heldBytes = 0;

  constructor(bytesMax: () => number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * @param key name of the caller's API key; null: it has none
   * @returns gives the memory back; calls after the first do nothing
   * @throws LimitReached 429 if it does not fit now, 413 if it never can
   */
  take(key: string | null, bytes: number): () => void {
    const bytesMax = this.#bytesMax();
    if (bytes > keyPart(key, bytesMax, 0)) throw tooLarge();
    const ownBytes = this.#byKey.get(key) ?? 0;
    if (ownBytes + bytes > keyPart(key, bytesMax, this.#heldBytes - ownBytes)) throw exceeded(key);
    this.#add(key, bytes);
    let isHeld = true;
    return () => {
      if (isHeld) this.#add(key, -bytes);
      isHeld = false;
    };
  }

  #add(key: string | null, bytes: number): void {
    this.#heldBytes += bytes;
    const ownBytes = (this.#byKey.get(key) ?? 0) + bytes;
    if (ownBytes === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, ownBytes);
  }
}

function tooLarge(): LimitReached {
  const message = 'the reservation needs more memory than there is for all of them (reservationsBytesMax)';
  return new LimitReached('reservationsBytesMax', 413, 'reservation_too_large', message);
}

function exceeded(key: string | null): LimitReached {
  const whose = key === null ? 'reservations' : `reservations of the key ${key}`;
  const message = `${whose} use all the memory that they may: delete some, or raise reservationsBytesMax`;
  return new LimitReached('reservationsBytesMax', 429, 'reservations_too_large_together', message, retryAfterS);
}
