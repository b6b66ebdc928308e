// Naive twin of the admission queue: one sorted list of waiting requests, scanned from the front.

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
}

/** A placed request; null: no worker was left for it. */
export type NaivePlaced = readonly [name: number, worker: number | null];

/** Requests share no blocks, and the first worker with the fewest active blocks is chosen. */
export class NaiveAdmission {
  readonly workers: NaiveWorker[];
  waiting: NaiveApplicant[] = [];
  readonly #waitingMax: number;
  readonly #passedMax: number;

  constructor(workers: NaiveWorker[], waitingMax: number, passedMax: number) {
    this.workers = workers;
    this.#waitingMax = waitingMax;
    this.#passedMax = passedMax;
  }

  enter(applicant: NaiveApplicant): 'waiting' | 'full' | NaivePlaced {
    if (this.waiting.length === 0) {
      const placed = this.#attempt(applicant, new Set());
      if (placed.kind === 'placed') return [applicant.name, placed.worker];
    }
    if (this.waiting.length >= this.#waitingMax) return 'full';
    // Names ascend with arrival.
    this.waiting.push(applicant);
    this.waiting.sort((a, b) => a.priority - b.priority || a.name - b.name);
    return 'waiting';
  }

  drain(): NaivePlaced[] {
    const placed: NaivePlaced[] = [];
    const closed = new Set<number>();
    const blocked = new Map<string, number>();
    for (const applicant of [...this.waiting]) {
      const before = blocked.get(applicant.lane) ?? 0;
      if (before > this.#passedMax) continue;
      const attempt = this.#attempt(applicant, closed);
      if (attempt.kind === 'placed') {
        placed.push([applicant.name, attempt.worker]);
        this.withdraw(applicant.name);
        continue;
      }
      blocked.set(applicant.lane, attempt.nearest === null ? Number.POSITIVE_INFINITY : before + 1);
      if (attempt.nearest !== null) closed.add(attempt.nearest);
    }
    return placed;
  }

  withdraw(name: number): void {
    this.waiting = this.waiting.filter((other) => other.name !== name);
  }

  #attempt(
    { workers, blocks }: NaiveApplicant,
    closed: ReadonlySet<number>,
  ): { kind: 'placed'; worker: number | null } | { kind: 'held'; nearest: number | null } {
    const eligible = workers.filter((index) => this.workers[index]!.routable);
    if (eligible.length === 0) return { kind: 'placed', worker: null };
    const tooLarge = eligible.every((index) => blocks > this.workers[index]!.capacity);
    const open = eligible.filter((index) => !closed.has(index));
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
    return { kind: 'held', nearest };
  }
}
