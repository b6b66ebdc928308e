// Naive twin of the tenant reserve: it keeps every step, and answers each question by going through all of them again.

import type { reserveNumbers } from '../../src/core/admission/tenant-reserve.ts';
import type { PoolRoom } from '../../src/core/ledger/worker-table.ts';

export type ReserveNumbers = Readonly<Record<keyof typeof reserveNumbers, number>>;

type Step = { readonly atMs: number; readonly room: PoolRoom } & (
  | { readonly kind: 'asked' }
  | {
      readonly kind: 'arrived';
      readonly tenant: string;
      readonly weight: number;
      readonly priority: number;
      readonly tokens: number;
    }
  | { readonly kind: 'placed'; readonly tenant: string; readonly arrival: number; readonly prefillMs: number }
  | { readonly kind: 'withdrawn' | 'ended'; readonly tenant: string; readonly arrival: number }
);

interface Account {
  weight: number;
  latestWeight: number;
  priority: number;
  lastMs: number;
  /** Work of the waiting requests by the step at which they arrived. */
  readonly waiting: Map<number, number>;
  excessMs: number;
  /** Charged tokens of each request in flight. */
  readonly inFlight: Map<number, number>;
  readonly placed: { readonly ms: number; readonly atMs: number }[];
  msPerToken: number;
  /** Null: it was a burst at the last refresh. */
  calm: { readonly weight: number; readonly priority: number; readonly busy: number } | null;
}

interface State {
  readonly accounts: Map<string, Account>;
  room: PoolRoom;
  weights: number;
  refreshedMs: number;
  nowMs: number;
}

const noRoom: PoolRoom = { workers: 0, tokens: 0, requests: 0, routers: 1 };

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);

export class NaiveReserve {
  readonly #numbers: ReserveNumbers;
  readonly #keepMs: number;
  readonly #roomNow: () => PoolRoom;
  readonly #steps: Step[] = [];

  constructor(numbers: ReserveNumbers, keepMs: number, roomNow: () => PoolRoom) {
    this.#numbers = numbers;
    this.#keepMs = keepMs;
    this.#roomNow = roomNow;
  }

  /** @returns the arrival, to be passed to `placed` or `withdrawn` */
  arrived(tenant: string, weight: number, priority: number, tokens: number, atMs: number): number {
    this.#steps.push({ kind: 'arrived', tenant, weight, priority, tokens, atMs, room: this.#roomNow() });
    return this.#steps.length - 1;
  }

  placed(tenant: string, arrival: number, prefillMs: number, atMs: number): void {
    this.#steps.push({ kind: 'placed', tenant, arrival, prefillMs, atMs, room: noRoom });
  }

  withdrawn(tenant: string, arrival: number, atMs: number): void {
    this.#steps.push({ kind: 'withdrawn', tenant, arrival, atMs, room: noRoom });
  }

  ended(tenant: string, arrival: number, atMs: number): void {
    this.#steps.push({ kind: 'ended', tenant, arrival, atMs, room: noRoom });
  }

  keptFrom(tenant: string, priority: number, atMs: number): number {
    this.#steps.push({ kind: 'asked', atMs, room: this.#roomNow() });
    const state = this.#replay();
    const account = state.accounts.get(tenant);
    if (account === undefined || state.weights === 0 || this.#isCalm(account, state)) return 0;
    const others = [...state.accounts].flatMap(([name, { calm }]) =>
      name !== tenant && calm !== null && calm.priority <= priority ? [calm] : [],
    );
    const allowed = Math.floor((state.room.workers * sum(others.map(({ weight }) => weight))) / state.weights);
    const busy = sum(others.map((one) => one.busy)) * state.room.routers;
    const wanted = Math.ceil(busy / this.#numbers.busyShare - 1e-9);
    return Math.min(allowed, Math.max(1, wanted));
  }

  #replay(): State {
    const { refreshMs, tokenGain, assumedMsPerToken, excessMsMax } = this.#numbers;
    const never = Number.NEGATIVE_INFINITY;
    const state: State = { accounts: new Map(), room: noRoom, weights: 0, refreshedMs: never, nowMs: 0 };
    for (const [at, step] of this.#steps.entries()) {
      for (const account of state.accounts.values()) {
        const paid = (step.atMs - state.nowMs) * this.#pace(account, state);
        account.excessMs = Math.max(0, account.excessMs - paid);
      }
      state.nowMs = step.atMs;
      const looks = step.kind === 'asked' || step.kind === 'arrived';
      if (looks && state.nowMs - state.refreshedMs >= refreshMs) this.#refresh(state, step.room);
      if (step.kind === 'asked') continue;
      const account = state.accounts.get(step.tenant) ?? newAccount();
      switch (step.kind) {
        case 'arrived':
          account.latestWeight = step.weight;
          account.priority = step.priority;
          account.lastMs = step.atMs;
          state.accounts.set(step.tenant, account);
          if (account.weight === 0) this.#refresh(state, step.room);
          account.waiting.set(at, step.tokens * (account.msPerToken || assumedMsPerToken));
          break;
        case 'placed': {
          account.waiting.delete(step.arrival);
          account.inFlight.set(step.arrival, this.#tokensOf(step.arrival));
          const most = excessMsMax * this.#pace(account, state);
          account.excessMs = Math.min(account.excessMs + step.prefillMs, most);
          const each = step.prefillMs / this.#tokensOf(step.arrival);
          account.msPerToken += account.msPerToken === 0 ? each : (each - account.msPerToken) * tokenGain;
          account.placed.push({ ms: step.prefillMs, atMs: step.atMs });
          break;
        }
        case 'withdrawn':
          account.waiting.delete(step.arrival);
          break;
        case 'ended':
          account.inFlight.delete(step.arrival);
          break;
      }
    }
    return state;
  }

  #tokensOf(arrival: number): number {
    const step = this.#steps[arrival]!;
    return step.kind === 'arrived' ? step.tokens : 0;
  }

  #refresh(state: State, room: PoolRoom): void {
    const { rateWindowMs } = this.#numbers;
    state.refreshedMs = state.nowMs;
    for (const [name, account] of state.accounts) {
      const hasNothing = account.waiting.size === 0 && account.excessMs === 0;
      const isGone = hasNothing && state.nowMs - account.lastMs > this.#keepMs;
      account.weight = isGone ? 0 : account.latestWeight;
      if (isGone && account.inFlight.size === 0) state.accounts.delete(name);
    }
    state.room = room;
    state.weights = sum([...state.accounts.values()].map(({ weight }) => weight));
    for (const account of state.accounts.values()) {
      const { weight, priority, placed } = account;
      const busy = placed.map(({ ms, atMs }) => (ms / rateWindowMs) * Math.exp((atMs - state.nowMs) / rateWindowMs));
      account.calm = this.#isCalm(account, state) ? { weight, priority, busy: sum(busy) } : null;
    }
  }

  #pace({ weight }: Account, { room, weights }: State): number {
    return weights === 0 ? 0 : ((weight / weights) * room.workers) / room.routers;
  }

  #isCalm(account: Account, state: State): boolean {
    const { patienceMs, patienceRequests } = this.#numbers;
    const workers = this.#pace(account, state);
    const { inFlight } = account;
    const { requests, tokens } = state.room;
    const share = workers / state.room.workers;
    if (inFlight.size > share * requests || sum(inFlight.values()) > share * tokens) return false;
    const work = sum(account.waiting.values()) + account.excessMs;
    return account.waiting.size <= patienceRequests * workers && work <= patienceMs * workers;
  }
}

function newAccount(): Account {
  return {
    ...{ weight: 0, latestWeight: 0, priority: 0, lastMs: 0, waiting: new Map<number, number>() },
    ...{ excessMs: 0, inFlight: new Map<number, number>(), placed: [], msPerToken: 0, calm: null },
  };
}
