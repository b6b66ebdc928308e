// The reservations by id: which are in use, when their leases end, who holds them, and what became of those that ended.
//
// It books nothing: what a reservation holds is the table's `T`, and whoever asks the table to end one releases that.

import { keyPart } from './key-part.ts';
import { RememberedIds } from './remembered-ids.ts';

/** Ended reservations that are remembered, so that late calls learn what happened. */
export const endedMax = 16_384;
export const endedMsMax = 600_000;
/** Deletions that came before their reservation. */
export const earlyDeletesMax = 16_384;
export const earlyDeleteMsMax = 60_000;
/** Width of the steps in which ends of leases are searched. */
const stepMs = 1000;

/** How a reservation ended. `leaked`: its lease did, since nobody called. */
export type EndKind = 'released' | 'leaked' | 'worker-removed' | 'connection-closed';

/** Something that releases what it holds when it goes, such as a connection. */
export class Holder<T> {
  readonly entries: Set<Entry<T>> = new Set();
}

export class Entry<T> {
  readonly key: string;
  /** Name of the API key that made it; null: none. */
  readonly owner: string | null;
  readonly holder: Holder<T> | null;
  /** `waiting`: its id is in use, but nothing is booked yet. */
  state: 'waiting' | 'live' | 'ended' = 'waiting';
  /** What it holds; null unless it is live. */
  held: T | null = null;
  leaseMs = 0;
  dueMs = 0;
  /** The step that its end is searched in; at or before that of `dueMs`. */
  step = 0;

  constructor(key: string, owner: string | null, holder: Holder<T> | null) {
    this.key = key;
    this.owner = owner;
    this.holder = holder;
  }
}

export type Begun<T> =
  | { readonly kind: 'begun'; readonly entry: Entry<T> }
  /** `deleted`: a deletion came first. It is forgotten now, so the id may be used again. */
  | { readonly kind: 'in-use' | 'deleted' }
  | {
      readonly kind: 'full';
      readonly limit: 'reservationsMax' | 'reservationsPerConnectionMax';
      readonly count: number;
    };

export type Found<T> =
  | { readonly kind: 'live'; readonly entry: Entry<T>; readonly held: T }
  | { readonly kind: 'waiting'; readonly entry: Entry<T> }
  | { readonly kind: 'ended'; readonly how: EndKind }
  | { readonly kind: 'unknown' };

export interface TableLimits {
  readonly reservationsMax: number;
  readonly reservationsPerConnectionMax: number;
}

export class ReservationTable<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #ended = new RememberedIds<EndKind>(endedMax, endedMsMax);
  readonly #earlyDeletes = new RememberedIds<true>(earlyDeletesMax, earlyDeleteMsMax);
  /** Live entries by the step in which their end is searched. */
  readonly #steps = new Map<number, Set<Entry<T>>>();
  readonly #countByOwner = new Map<string | null, number>();
  #step = 0;
  #live = 0;

  get live(): number {
    return this.#live;
  }

  get waiting(): number {
    return this.#entries.size - this.#live;
  }

  /** Takes an id, so that no other reservation can have it. `hold` or `drop` must follow. */
  begin(key: string, owner: string | null, holder: Holder<T> | null, limits: TableLimits, nowMs: number): Begun<T> {
    if (this.#entries.has(key)) return { kind: 'in-use' };
    if (this.#earlyDeletes.get(key, nowMs) !== null) {
      this.#earlyDeletes.delete(key);
      return { kind: 'deleted' };
    }
    const owned = this.#countByOwner.get(owner) ?? 0;
    if (owned >= keyPart(owner, limits.reservationsMax, this.#entries.size - owned)) {
      return { kind: 'full', limit: 'reservationsMax', count: owned };
    }
    if (holder !== null && holder.entries.size >= limits.reservationsPerConnectionMax) {
      return { kind: 'full', limit: 'reservationsPerConnectionMax', count: holder.entries.size };
    }
    const entry = new Entry<T>(key, owner, holder);
    this.#entries.set(key, entry);
    this.#countByOwner.set(owner, owned + 1);
    this.#ended.delete(key);
    holder?.entries.add(entry);
    return { kind: 'begun', entry };
  }

  /** The reservation is made. @param leaseMs time without a call after which it leaks */
  hold(entry: Entry<T>, held: T, leaseMs: number, nowMs: number): void {
    entry.state = 'live';
    entry.held = held;
    entry.leaseMs = leaseMs;
    this.#live += 1;
    if (this.#steps.size === 0) this.#step = Math.floor(nowMs / stepMs);
    this.#schedule(entry, nowMs);
  }

  /** Nothing was reserved; the id is free again. Does nothing if the entry is not waiting. */
  drop(entry: Entry<T>): void {
    if (entry.state !== 'waiting') return;
    entry.state = 'ended';
    this.#remove(entry);
  }

  /** A call for the reservation: its lease begins again. */
  touch(entry: Entry<T>, nowMs: number): void {
    // Its step stays: `due` moves it when the search comes by.
    entry.dueMs = nowMs + entry.leaseMs;
  }

  find(key: string, nowMs: number): Found<T> {
    const entry = this.#entries.get(key);
    if (entry?.state === 'live') return { kind: 'live', entry, held: entry.held! };
    if (entry !== undefined) return { kind: 'waiting', entry };
    const how = this.#ended.get(key, nowMs);
    return how === null ? { kind: 'unknown' } : { kind: 'ended', how };
  }

  /** Remembers a deletion of an unknown id. @returns false: the oldest one was forgotten for it */
  deleteEarly(key: string, nowMs: number): boolean {
    return this.#earlyDeletes.add(key, true, nowMs);
  }

  /** Ends a live reservation. @returns what it held, for the caller to release; null if it is not live */
  end(entry: Entry<T>, how: EndKind, nowMs: number): T | null {
    if (entry.state !== 'live') return null;
    const { held } = entry;
    entry.state = 'ended';
    entry.held = null;
    this.#live -= 1;
    this.#unschedule(entry);
    this.#remove(entry);
    this.#ended.delete(entry.key);
    this.#ended.add(entry.key, how, nowMs);
    return held;
  }

  /** Whether the lease of a live reservation has ended. */
  isDue(entry: Entry<T>, nowMs: number): boolean {
    return entry.state === 'live' && entry.dueMs <= nowMs;
  }

  /** Some live reservations whose lease has ended, at most `countMax`. End them, then call again until there are none. */
  due(nowMs: number, countMax: number): Entry<T>[] {
    const found: Entry<T>[] = [];
    const last = Math.floor(nowMs / stepMs);
    for (; this.#step <= last; this.#step++) {
      for (const entry of this.#steps.get(this.#step) ?? []) {
        if (found.length === countMax) return found;
        if (entry.dueMs <= nowMs) found.push(entry);
        else if (Math.floor(entry.dueMs / stepMs) > this.#step) this.#move(entry);
      }
      // The present step may still get further ends.
      if (this.#step === last) break;
      // What was found is still in its step, until it is ended.
      if (found.length > 0) break;
      this.#steps.delete(this.#step);
    }
    return found;
  }

  /** Every live reservation. */
  *all(): Generator<Entry<T>> {
    for (const entry of this.#entries.values()) if (entry.state === 'live') yield entry;
  }

  #schedule(entry: Entry<T>, nowMs: number): void {
    entry.dueMs = nowMs + entry.leaseMs;
    this.#place(entry);
  }

  #place(entry: Entry<T>): void {
    entry.step = Math.max(this.#step, Math.floor(entry.dueMs / stepMs));
    const step = this.#steps.get(entry.step);
    if (step === undefined) this.#steps.set(entry.step, new Set([entry]));
    else step.add(entry);
  }

  #move(entry: Entry<T>): void {
    this.#unschedule(entry);
    this.#place(entry);
  }

  #unschedule(entry: Entry<T>): void {
    const step = this.#steps.get(entry.step);
    step?.delete(entry);
    if (step?.size === 0) this.#steps.delete(entry.step);
  }

  #remove(entry: Entry<T>): void {
    this.#entries.delete(entry.key);
    const owned = this.#countByOwner.get(entry.owner)! - 1;
    if (owned === 0) this.#countByOwner.delete(entry.owner);
    else this.#countByOwner.set(entry.owner, owned);
    entry.holder?.entries.delete(entry);
  }
}
