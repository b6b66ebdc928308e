// The reservations by id as a list of everything that ever happened to them: the simplest thing that can be right.

import type { EndKind } from '../../src/gateway/selection/reservation-table.ts';

export interface NaiveReservation {
  readonly key: string;
  readonly owner: string | null;
  readonly holder: string | null;
  readonly leaseMs: number;
  state: 'waiting' | 'live' | 'ended';
  dueMs: number;
}

interface Remembered<T> {
  readonly key: string;
  readonly what: T;
  readonly sinceMs: number;
}

export interface NaiveLimits {
  readonly reservationsMax: number;
  readonly reservationsPerConnectionMax: number;
  readonly rememberedMax: number;
  readonly endedMsMax: number;
  readonly earlyDeleteMsMax: number;
}

export class NaiveReservations {
  readonly all: NaiveReservation[] = [];
  #ended: Remembered<EndKind>[] = [];
  #earlyDeletes: Remembered<true>[] = [];
  readonly #limits: NaiveLimits;

  constructor(limits: NaiveLimits) {
    this.#limits = limits;
  }

  inUse(key: string): NaiveReservation | undefined {
    return this.all.find((one) => one.key === key && one.state !== 'ended');
  }

  count(state: NaiveReservation['state']): number {
    return this.all.filter((one) => one.state === state).length;
  }

  begin(
    key: string,
    owner: string | null,
    holder: string | null,
    leaseMs: number,
    nowMs: number,
  ): NaiveReservation | string {
    this.#forget(nowMs);
    if (this.inUse(key) !== undefined) return 'in-use';
    if (this.#earlyDeletes.some((one) => one.key === key)) {
      this.#earlyDeletes = this.#earlyDeletes.filter((one) => one.key !== key);
      return 'deleted';
    }
    const open = this.all.filter(({ state }) => state !== 'ended');
    const max = this.#limits.reservationsMax;
    const owned = open.filter((one) => one.owner === owner).length;
    const left = max - (open.length - owned);
    // Two thirds of what others leave, in whole numbers; callers without a key may take all of it.
    if (owner === null ? owned >= left : 3 * owned >= 2 * left) return 'reservationsMax';
    const ofHolder = open.filter((one) => holder !== null && one.holder === holder);
    if (ofHolder.length >= this.#limits.reservationsPerConnectionMax) return 'reservationsPerConnectionMax';
    this.#ended = this.#ended.filter((one) => one.key !== key);
    const begun: NaiveReservation = { key, owner, holder, leaseMs, state: 'waiting', dueMs: Number.POSITIVE_INFINITY };
    this.all.push(begun);
    return begun;
  }

  find(key: string, nowMs: number): string {
    this.#forget(nowMs);
    return this.inUse(key)?.state ?? this.#ended.find((one) => one.key === key)?.what ?? 'unknown';
  }

  deleteEarly(key: string, nowMs: number): void {
    this.#forget(nowMs);
    if (this.#earlyDeletes.some((one) => one.key === key)) return;
    this.#earlyDeletes.push({ key, what: true, sinceMs: nowMs });
    if (this.#earlyDeletes.length > this.#limits.rememberedMax) this.#earlyDeletes.shift();
  }

  end(one: NaiveReservation, how: EndKind, nowMs: number): void {
    this.#forget(nowMs);
    one.state = 'ended';
    this.#ended = this.#ended.filter(({ key }) => key !== one.key);
    this.#ended.push({ key: one.key, what: how, sinceMs: nowMs });
    if (this.#ended.length > this.#limits.rememberedMax) this.#ended.shift();
  }

  due(nowMs: number): NaiveReservation[] {
    return this.all.filter(({ state, dueMs }) => state === 'live' && dueMs <= nowMs);
  }

  #forget(nowMs: number): void {
    this.#ended = this.#ended.filter(({ sinceMs }) => nowMs - sinceMs < this.#limits.endedMsMax);
    this.#earlyDeletes = this.#earlyDeletes.filter(({ sinceMs }) => nowMs - sinceMs < this.#limits.earlyDeleteMsMax);
  }
}
