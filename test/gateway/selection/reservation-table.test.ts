import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Entry,
  earlyDeleteMsMax,
  earlyDeletesMax,
  endedMax,
  endedMsMax,
  Holder,
  ReservationTable,
} from '../../../src/gateway/selection/reservation-table.ts';
import { type NaiveReservation, NaiveReservations } from '../../model/naive-reservations.ts';

const limits = { reservationsMax: 6, reservationsPerConnectionMax: 3 };
const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const holderNames = ['none', 'x', 'y'] as const;
const key = fc.constantFrom(...keys);

const step = fc.oneof(
  fc.record({
    kind: fc.constant('begin' as const),
    key,
    owner: fc.constantFrom(null, 'p', 'q'),
    holder: fc.constantFrom(...holderNames),
    leaseMs: fc.constantFrom(1, 50, 999, 1000, 1001, 30_000),
    // What becomes of it: made at once, made later, or not at all.
    made: fc.constantFrom('now', 'later', 'never'),
  }),
  fc.record({ kind: fc.constant('touch' as const), key }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc.record({ kind: fc.constant('make' as const), key }),
  fc.record({ kind: fc.constant('close' as const), holder: fc.constantFrom(...holderNames) }),
  fc.record({ kind: fc.constant('leak' as const), countMax: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(0.3, 1, 400, 1000, 7000, 60_000, 600_000) }),
);

/** A table and its twin, which must stay the same. */
class Both {
  readonly table = new ReservationTable<string>();
  readonly twin = new NaiveReservations({ ...limits, ...{ rememberedMax: endedMax, endedMsMax, earlyDeleteMsMax } });
  readonly #holders = new Map([
    ['x', new Holder<string>()],
    ['y', new Holder<string>()],
  ]);
  readonly #entries = new Map<NaiveReservation, Entry<string>>();
  nowMs = 12_345.6;
  #made = 0;

  begin(key: string, owner: string | null, holderName: string, leaseMs: number): NaiveReservation | null {
    const holder = this.#holders.get(holderName) ?? null;
    const begun = this.table.begin(key, owner, holder, limits, this.nowMs);
    const expected = this.twin.begin(key, owner, holder === null ? null : holderName, leaseMs, this.nowMs);
    if (typeof expected === 'string') {
      expect(begun.kind === 'full' ? begun.limit : begun.kind).toBe(expected);
      return null;
    }
    expect(begun.kind).toBe('begun');
    this.#entries.set(expected, (begun as { entry: Entry<string> }).entry);
    return expected;
  }

  make(one: NaiveReservation): void {
    this.table.hold(this.#entries.get(one)!, `held ${this.#made++}`, one.leaseMs, this.nowMs);
    one.state = 'live';
    one.dueMs = this.nowMs + one.leaseMs;
  }

  drop(one: NaiveReservation): void {
    this.table.drop(this.#entries.get(one)!);
    if (one.state === 'waiting') one.state = 'ended';
  }

  touch(key: string): void {
    const one = this.twin.inUse(key);
    if (one?.state !== 'live') return;
    expect(this.table.isDue(this.#entries.get(one)!, this.nowMs)).toBe(one.dueMs <= this.nowMs);
    this.table.touch(this.#entries.get(one)!, this.nowMs);
    one.dueMs = this.nowMs + one.leaseMs;
  }

  delete(key: string): void {
    const one = this.twin.inUse(key);
    if (one?.state === 'live') this.end(one, 'released');
    else if (one !== undefined) this.drop(one);
    else if (this.twin.find(key, this.nowMs) === 'unknown') {
      expect(this.table.deleteEarly(key, this.nowMs)).toBe(true);
      this.twin.deleteEarly(key, this.nowMs);
    }
  }

  end(one: NaiveReservation, how: 'released' | 'leaked' | 'connection-closed'): void {
    const entry = this.#entries.get(one)!;
    expect(this.table.end(entry, how, this.nowMs)).toMatch(/^held /);
    // Once only.
    expect(this.table.end(entry, how, this.nowMs)).toBe(null);
    this.twin.end(one, how, this.nowMs);
  }

  close(holderName: string): void {
    const held = [...(this.#holders.get(holderName)?.entries ?? [])];
    const expected = this.twin.all.filter(({ holder, state }) => holder === holderName && state !== 'ended');
    expect(new Set(held)).toEqual(new Set(expected.map((one) => this.#entries.get(one))));
    for (const one of expected) {
      if (one.state === 'live') this.end(one, 'connection-closed');
      else this.drop(one);
    }
  }

  /** Ends what leaks, at most `countMax` at a time. */
  leak(countMax: number): void {
    const expected = new Set(this.twin.due(this.nowMs));
    for (;;) {
      const due = this.table.due(this.nowMs, countMax);
      expect(due.length).toBeLessThanOrEqual(countMax);
      if (due.length === 0) break;
      for (const entry of due) {
        const one = [...expected].find((other) => this.#entries.get(other) === entry);
        expect(one).toBeDefined();
        expected.delete(one!);
        this.end(one!, 'leaked');
      }
    }
    expect(expected).toEqual(new Set());
  }

  expectSame(): void {
    expect(this.table.live).toBe(this.twin.count('live'));
    expect(this.table.waiting).toBe(this.twin.count('waiting'));
    expect([...this.table.all()].map((entry) => entry.key).sort()).toEqual(
      this.twin.all.flatMap((one) => (one.state === 'live' ? [one.key] : [])).sort(),
    );
    for (const name of keys) {
      const found = this.table.find(name, this.nowMs);
      expect(found.kind === 'ended' ? found.how : found.kind).toBe(this.twin.find(name, this.nowMs));
    }
  }
}

describe('the table of reservations', () => {
  it('equals its naive twin after any sequence of calls, leases and closed connections', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const both = new Both();
        for (const one of steps) {
          if (one.kind === 'begin') {
            const begun = both.begin(one.key, one.owner, one.holder, one.leaseMs);
            if (begun !== null && one.made === 'now') both.make(begun);
            if (begun !== null && one.made === 'never') both.drop(begun);
          } else if (one.kind === 'make') {
            const waiting = both.twin.inUse(one.key);
            if (waiting?.state === 'waiting') both.make(waiting);
          } else if (one.kind === 'touch') both.touch(one.key);
          else if (one.kind === 'delete') both.delete(one.key);
          else if (one.kind === 'close') both.close(one.holder);
          else if (one.kind === 'leak') both.leak(one.countMax);
          else both.nowMs += one.ms;
          both.expectSame();
        }
        // In the end everything can leak, and nothing is left.
        for (const one of both.twin.all) if (one.state === 'waiting') both.drop(one);
        both.nowMs += 1e6;
        both.leak(2);
        expect([both.table.live, both.table.waiting]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });

  it('remembers so many early deletions, and then forgets the oldest', () => {
    const table = new ReservationTable<string>();
    for (let i = 0; i < earlyDeletesMax; i++) expect(table.deleteEarly(`k${i}`, i / 1000)).toBe(true);
    expect(table.deleteEarly('one more', 20)).toBe(false);
    expect(table.begin('k0', null, null, limits, 20).kind).toBe('begun');
    expect(table.begin('k1', null, null, limits, 20).kind).toBe('deleted');
    expect(table.begin('one more', null, null, limits, 20).kind).toBe('deleted');
  });

  it('remembers so many ended reservations, and then forgets the oldest', () => {
    const table = new ReservationTable<string>();
    for (let i = 0; i <= endedMax; i++) {
      const begun = table.begin(`k${i}`, null, null, limits, i / 1000) as { entry: Entry<string> };
      table.hold(begun.entry, 'held', 1000, i / 1000);
      table.end(begun.entry, 'released', i / 1000);
    }
    expect(table.find('k0', 20)).toEqual({ kind: 'unknown' });
    expect(table.find('k1', 20)).toEqual({ kind: 'ended', how: 'released' });
    expect([table.live, table.waiting]).toEqual([0, 0]);
  });
});
