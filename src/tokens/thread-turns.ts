// Schedules a thread's jobs in slices: short remaining work first, with a share for the oldest.

export interface ThreadJob {
  readonly id: number;
  /** Jobs of one group, such as the prompts of one request, run one after another. */
  readonly group: number;
  /** Approximate number of characters to process. */
  readonly size: number;
  /** Continues to the next pause. @returns true when the job is done */
  step(): boolean;
}

/** A slice ends with the first step that exceeds it. */
const sliceMsMax = 5;
/** Of this many slices, one goes to the group that has waited longest. */
const oldestEvery = 4;

export class ThreadTurns {
  readonly #nowMs: () => number;
  /** In order of arrival; none is empty. */
  readonly #groups = new Map<number, ThreadJob[]>();
  #slices = 0;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get isEmpty(): boolean {
    return this.#groups.size === 0;
  }

  add(job: ThreadJob): void {
    const jobs = this.#groups.get(job.group);
    if (jobs === undefined) this.#groups.set(job.group, [job]);
    else jobs.push(job);
  }

  /** Drops a group's jobs. */
  drop(group: number): void {
    this.#groups.delete(group);
  }

  /** Works on one job for a few milliseconds. O(groups) */
  runSlice(): void {
    const group = this.#pick();
    const jobs = this.#groups.get(group);
    if (jobs === undefined) return;
    const endMs = this.#nowMs() + sliceMsMax;
    do {
      if (!jobs[0]!.step()) continue;
      jobs.shift();
      if (jobs.length > 0) continue;
      this.#groups.delete(group);
      return;
    } while (this.#nowMs() < endMs);
  }

  #pick(): number {
    this.#slices += 1;
    let picked = -1;
    let least = Number.POSITIVE_INFINITY;
    for (const [group, jobs] of this.#groups) {
      if (this.#slices % oldestEvery === 0) return group;
      const size = jobs.reduce((sum, job) => sum + job.size, 0);
      if (size >= least) continue;
      least = size;
      picked = group;
    }
    return picked;
  }
}
