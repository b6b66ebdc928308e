// Naive twin of the admission queue: one list of waiting requests, and for each choice the rounds of deficit round robin
// are counted anew.

import type { NaiveReserve } from './naive-reserve.ts';

export interface NaiveWorker {
  capacity: number;
  runningMax: number;
  routable: boolean;
  active: number;
  running: number;
}

export interface NaiveApplicant {
  readonly name: number;
  readonly priority: number;
  readonly lane: string;
  /** Workers that may take it. */
  readonly workers: readonly number[];
  readonly blocks: number;
  readonly tenant: string;
  readonly weight: number;
  readonly tokens: number;
}

/** What a tenant with one priority has got since it began to wait. */
interface NaiveFlow {
  readonly key: string;
  readonly priority: number;
  readonly weight: number;
  readonly sinceRound: number;
  spent: number;
}

const keyOf = ({ priority, tenant }: NaiveApplicant): string => `${priority} ${tenant}`;

/** What bursts leave free. */
export interface NaiveKeeping {
  readonly reserve: NaiveReserve;
  /** Workers; those at the end are kept free. */
  readonly order: readonly number[];
  prefillMsOf(blocks: number): number;
}

/** A placed request; null: no worker was left for it. */
export type NaivePlaced = readonly [name: number, worker: number | null];

/** Requests share no blocks, and the first worker with the fewest active blocks is chosen. */
export class NaiveAdmission {
  readonly workers: NaiveWorker[];
  waiting: NaiveApplicant[] = [];
  readonly #waitingMax: number;
  readonly #passedMax: number;
  readonly #quantum: number;
  readonly #keeping: NaiveKeeping | null;
  /** By name, what the reserve calls the request. */
  readonly #arrivals = new Map<number, number>();
  /** Tenants of placed requests by name. */
  readonly #placedOf = new Map<number, string>();
  #nowMs = 0;
  /** In the order in which they began to wait. */
  #flows: NaiveFlow[] = [];
  readonly #rounds = new Map<number, number>();

  constructor(
    workers: NaiveWorker[],
    waitingMax: number,
    passedMax: number,
    quantum: number,
    keeping: NaiveKeeping | null = null,
  ) {
    this.#keeping = keeping;
    this.workers = workers;
    this.#waitingMax = waitingMax;
    this.#passedMax = passedMax;
    this.#quantum = quantum;
  }

  /** `displaced`: the name of the request that it displaced. */
  enter(applicant: NaiveApplicant, nowMs = 0): 'waiting' | 'full' | NaivePlaced | { readonly displaced: number } {
    this.#nowMs = nowMs;
    const { name, tenant, weight, priority: asked, tokens } = applicant;
    const arrival = this.#keeping?.reserve.arrived(tenant, weight, asked, tokens, nowMs);
    if (arrival !== undefined) this.#arrivals.set(name, arrival);
    if (this.waiting.length === 0) {
      const placed = this.#attempt(applicant, new Set());
      if (placed.kind === 'placed') return [applicant.name, placed.worker];
    }
    const excess = this.waiting.length >= this.#waitingMax ? this.#excess(applicant) : null;
    if (excess === 'full') {
      this.#withdrawn(applicant);
      return 'full';
    }
    if (excess !== null) this.withdraw(excess.name);
    this.waiting.push(applicant);
    if (!this.#flows.some(({ key }) => key === keyOf(applicant))) {
      const { priority, weight } = applicant;
      const sinceRound = (this.#rounds.get(priority) ?? 1) - 1;
      this.#flows.push({ key: keyOf(applicant), priority, weight, sinceRound, spent: 0 });
    }
    return excess === null ? 'waiting' : { displaced: excess.name };
  }

  drain(nowMs = 0): NaivePlaced[] {
    this.#nowMs = nowMs;
    const placed: NaivePlaced[] = [];
    const closed = new Set<number>();
    const blocked = new Map<string, number>();
    const blockedBursts = new Map<string, number>();
    const shutAt = new Map<string, number>();
    const passed: NaiveApplicant[] = [];
    for (;;) {
      const applicant = this.#next(passed, (one) => {
        if ((blocked.get(one.lane) ?? 0) > this.#passedMax) return true;
        const priority = shutAt.get(one.lane);
        return priority !== undefined && (one.priority > priority || this.#keptFrom(one) > 0);
      });
      if (applicant === null) return placed;
      const attempt = this.#attempt(applicant, closed);
      if (attempt.kind === 'placed') {
        placed.push([applicant.name, attempt.worker]);
        if (attempt.worker !== null) {
          const flow = this.#flowOf(applicant);
          flow.spent += applicant.tokens;
          const round = this.#roundOf(flow, flow.spent);
          this.#rounds.set(flow.priority, Math.max(this.#rounds.get(flow.priority) ?? 1, round));
        }
        this.#remove(applicant.name);
        continue;
      }
      passed.push(applicant);
      const counts = attempt.kept > 0 ? blockedBursts : blocked;
      const { lane } = applicant;
      counts.set(lane, attempt.nearest === null ? Number.POSITIVE_INFINITY : (counts.get(lane) ?? 0) + 1);
      if (attempt.kept > 0 && counts.get(lane)! > this.#passedMax && !shutAt.has(lane))
        shutAt.set(lane, applicant.priority);
      if (attempt.nearest !== null) closed.add(attempt.nearest);
    }
  }

  withdraw(name: number): void {
    this.#withdrawn(this.waiting.find((other) => other.name === name)!);
    this.#remove(name);
  }

  /** A placed request has ended. */
  ended(name: number, nowMs: number): void {
    const tenant = this.#placedOf.get(name)!;
    this.#keeping?.reserve.ended(tenant, this.#arrivals.get(name)!, nowMs);
  }

  #withdrawn({ name, tenant }: NaiveApplicant): void {
    this.#keeping?.reserve.withdrawn(tenant, this.#arrivals.get(name)!, this.#nowMs);
  }

  #keptFrom({ tenant, priority }: NaiveApplicant): number {
    return this.#keeping?.reserve.keptFrom(tenant, priority, this.#nowMs) ?? 0;
  }

  #remove(name: number): void {
    this.waiting = this.waiting.filter((other) => other.name !== name);
    this.#flows = this.#flows.filter(({ key }) => this.waiting.some((one) => keyOf(one) === key));
    for (const priority of this.#rounds.keys()) {
      if (!this.waiting.some((one) => one.priority === priority)) this.#rounds.delete(priority);
    }
  }

  /** @param passed blocked ones: the others come as if these had gone */
  #next(passed: readonly NaiveApplicant[], isShut: (one: NaiveApplicant) => boolean): NaiveApplicant | null {
    const open = this.waiting.filter((one) => !passed.includes(one) && !isShut(one));
    const priority = Math.min(...open.map((one) => one.priority));
    let next: NaiveApplicant | null = null;
    let nextRound = Number.POSITIVE_INFINITY;
    for (const flow of this.#flows) {
      if (flow.priority !== priority) continue;
      // Names ascend with arrival.
      const [head] = open.filter((one) => keyOf(one) === flow.key).sort((a, b) => a.name - b.name);
      if (head === undefined) continue;
      const asIfGone = passed.filter((one) => keyOf(one) === flow.key).reduce((sum, { tokens }) => sum + tokens, 0);
      const round = this.#roundOf(flow, flow.spent + asIfGone + head.tokens);
      if (round >= nextRound) continue;
      next = head;
      nextRound = round;
    }
    return next;
  }

  #flowOf(applicant: NaiveApplicant): NaiveFlow {
    return this.#flows.find(({ key }) => key === keyOf(applicant))!;
  }

  #roundOf({ sinceRound, weight }: NaiveFlow, tokens: number): number {
    let round = sinceRound;
    for (let granted = 0; granted < tokens; granted += this.#quantum * weight) round += 1;
    return round;
  }

  #excess(newcomer: NaiveApplicant): NaiveApplicant | 'full' {
    const weights = new Map(this.waiting.map(({ tenant, weight }) => [tenant, weight]));
    const share = (tenant: string, more = 0): number =>
      (this.waiting.filter((one) => one.tenant === tenant).length + more) / (weights.get(tenant) ?? newcomer.weight);
    const shares = [...weights.keys()].map((tenant) => [share(tenant), tenant] as const);
    const most = Math.max(...shares.map(([one]) => one));
    if (share(newcomer.tenant, 1) >= most) return 'full';
    const candidates = shares.filter(([one]) => one === most).map(([, tenant]) => tenant);
    const last = this.waiting
      .filter(({ tenant }) => candidates.includes(tenant))
      .sort((a, b) => a.priority - b.priority || a.name - b.name)
      .at(-1)!;
    return last.priority < newcomer.priority ? 'full' : last;
  }

  /** Those among the last of all; if these are all that may take it, the same share of them. */
  #keptOf(applicant: NaiveApplicant, eligible: readonly number[]): readonly number[] {
    const keptOfAll = this.#keptFrom(applicant);
    if (keptOfAll === 0) return [];
    const routable = this.workers.filter((worker) => worker.routable).length;
    const all = this.#keeping!.order.filter((index) => this.workers[index]!.routable);
    const inOrder = all.filter((index) => eligible.includes(index));
    const among = all.slice(all.length - keptOfAll).filter((index) => eligible.includes(index)).length;
    const share = Math.min(eligible.length - 1, Math.floor((keptOfAll / routable) * eligible.length));
    const count = among < eligible.length ? among : share;
    const fits = (index: number): boolean => applicant.blocks <= this.workers[index]!.capacity;
    const kept = inOrder.slice(inOrder.length - count);
    const others = inOrder.slice(0, inOrder.length - count);
    return kept.some(fits) && !others.some(fits) ? [] : kept;
  }

  #attempt(
    applicant: NaiveApplicant,
    closed: ReadonlySet<number>,
  ): { kind: 'placed'; worker: number | null } | { kind: 'held'; nearest: number | null; kept: number } {
    const { workers, blocks } = applicant;
    const eligible = workers.filter((index) => this.workers[index]!.routable);
    const kept = this.#keptOf(applicant, eligible);
    if (eligible.length === 0) {
      this.#withdrawn(applicant);
      return { kind: 'placed', worker: null };
    }
    const tooLarge = eligible.every((index) => blocks > this.workers[index]!.capacity);
    const open = eligible.filter((index) => !closed.has(index) && !kept.includes(index));
    const runnable = open.filter((index) => this.workers[index]!.running < this.workers[index]!.runningMax);
    const hasRoom = runnable.some((index) => {
      const { active, capacity } = this.workers[index]!;
      return tooLarge || active + blocks <= capacity;
    });
    if (hasRoom) {
      const least = Math.min(...runnable.map((index) => this.workers[index]!.active));
      const worker = runnable.find((index) => this.workers[index]!.active === least)!;
      this.workers[worker]!.active += blocks;
      this.workers[worker]!.running += 1;
      this.#placedOf.set(applicant.name, applicant.tenant);
      const { reserve, prefillMsOf } = this.#keeping ?? {};
      reserve?.placed(applicant.tenant, this.#arrivals.get(applicant.name)!, prefillMsOf!(blocks), this.#nowMs);
      return { kind: 'placed', worker };
    }
    const lacking = (index: number): number => {
      const { active, capacity } = this.workers[index]!;
      return Math.max(0, active + blocks - capacity);
    };
    const nearest = open.reduce<number | null>(
      (best, index) => (best === null || lacking(index) < lacking(best) ? index : best),
      null,
    );
    return { kind: 'held', nearest, kept: kept.length };
  }
}
