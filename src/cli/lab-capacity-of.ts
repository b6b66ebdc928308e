// Finds the highest rate at which a policy meets the SLO on a workload, judged over all seeds together.

import {
  CapacitySearch,
  firstMeasured,
  lostProbe,
  missesMax,
  type PooledProbe,
  pooledSpeedBound,
  poolProbes,
  type RunSpec,
  toJson,
} from '../lab/index.ts';
import type { Workload } from '../trace/workload.ts';
import type { Experiment } from './lab-experiment.ts';
import { buildWorkload, lengthened, type WorkloadSpec } from './lab-workload.ts';

/** Usual number of jobs per seed, for the progress line. */
export const probesExpected = 12;

/** Run lengths to try, as multiples of the usual one, until the verdict is clear. */
const lengths = [1, 2, 4] as const;

export interface Capacity {
  /**
   * The highest rate that was good together with all lower tried rates, as a speedup of the workload's own arrivals. 0:
   * none.
   */
  readonly speed: number;
  /** The lowest tried rate from which on none was good. Null if the highest tried rate was good. */
  readonly failsFrom: number | null;
  /** Upper bound for every policy in the long run. */
  readonly speedBound: number;
  /** Mean rate of the workload's own arrivals over all seeds. */
  readonly ownRatePerS: number;
  /** The probe that decided `speed`. Null if `speed` is 0. */
  readonly judged: PooledProbe | null;
  /** Every tried rate in order, with the verdict of its longest run. */
  readonly probes: readonly PooledProbe[];
}

/** One seed of a workload with its run spec. */
export interface SeededRun {
  readonly workload: WorkloadSpec;
  readonly spec: RunSpec;
}

/**
 * A rate is good if the SLO is met and answers do not become slower and slower. If a run is too short to tell, it is
 * repeated with more requests: built-in workloads without a given number of requests get up to four times the usual
 * number. The highest good rate must also be good in the longest run. No rate above the bound is tried.
 * @param seeds at least one
 * @param resolution factor between the rates that are told apart
 * @returns null if all requests arrive at once, since there is no rate then
 */
export async function capacityOf(
  experiment: Pick<Experiment, 'execute' | 'progress'>,
  seeds: readonly SeededRun[],
  resolution: number = CapacitySearch.resolution,
): Promise<Capacity | null> {
  const prober = new Prober(experiment, seeds);
  const { speedBound } = await prober.pool(1);
  if (!Number.isFinite(speedBound)) return null;
  const expected = seeds.length * probesExpected;
  experiment.progress.expect(expected);
  const search = new CapacitySearch(speedBound, resolution);
  const judged = new Map<number, Judged>();
  const judge = async (speed: number, allowed: readonly number[]): Promise<void> => {
    const one = await prober.judge(speed, allowed);
    judged.set(speed, one);
    search.tell(speed, one.probe.verdict === 'good' || one.probe.verdict === 'short');
  };
  for (;;) {
    for (let speed = search.next; speed !== null; speed = search.next) await judge(speed, prober.lengths);
    if (search.low === 0 || judged.get(search.low)!.length === prober.longest) break;
    await judge(search.low, [prober.longest]);
  }
  experiment.progress.expect(prober.jobs - expected);
  const at = judged.get(search.low) ?? null;
  const pool = await prober.pool(at?.length ?? 1);
  return {
    speed: search.low,
    failsFrom: search.high,
    speedBound: pool.speedBound,
    ownRatePerS: pool.ownRatePerS,
    judged: at?.probe ?? null,
    probes: [...judged.values()].map(({ probe }) => probe).sort((a, b) => a.speed - b.speed),
  };
}

interface Judged {
  readonly length: number;
  readonly probe: PooledProbe;
}

/** Runs of all seeds, with the possible lengths. */
interface Pool {
  readonly runs: readonly SeededRun[];
  readonly requests: number;
  readonly missesMax: number;
  readonly speedBound: number;
  readonly ownRatePerS: number;
}

class Prober {
  /** Lengths that the workload can have, ascending. */
  readonly lengths: readonly number[];
  readonly #experiment: Pick<Experiment, 'execute'>;
  readonly #seeds: readonly SeededRun[];
  readonly #pools = new Map<number, Promise<Pool>>();
  #jobs = 0;

  constructor(experiment: Pick<Experiment, 'execute'>, seeds: readonly SeededRun[]) {
    this.#experiment = experiment;
    this.#seeds = seeds;
    this.lengths = lengths.filter((length) => seeds.every(({ workload }) => lengthened(workload, length) !== null));
  }

  get longest(): number {
    return this.lengths.at(-1)!;
  }

  get jobs(): number {
    return this.#jobs;
  }

  pool(length: number): Promise<Pool> {
    const pool = this.#pools.get(length) ?? makePool(this.#seeds, length);
    this.#pools.set(length, pool);
    return pool;
  }

  /** Tries longer and longer runs until the verdict is clear. */
  async judge(speed: number, allowed: readonly number[]): Promise<Judged> {
    let judged: Judged | null = null;
    for (const length of allowed) {
      judged = { length, probe: await this.#probe(speed, length) };
      // For the other verdicts a longer run may give another result.
      if (judged.probe.verdict !== 'slows' && judged.probe.verdict !== 'short') break;
    }
    return judged!;
  }

  async #probe(speed: number, length: number): Promise<PooledProbe> {
    const pool = await this.pool(length);
    if (speed > pool.speedBound) return lostProbe(speed, pool.requests, 'over-bound');
    this.#jobs += pool.runs.length;
    const probes = pool.runs.map(({ workload, spec }) =>
      this.#experiment.execute(workload, { kind: 'probe', spec: toJson(spec), speed, missesMax: pool.missesMax }),
    );
    return poolProbes(await Promise.all(probes));
  }
}

async function makePool(seeds: readonly SeededRun[], length: number): Promise<Pool> {
  const runs = seeds.map(({ workload, spec }) => ({ workload: lengthened(workload, length)!, spec }));
  const workloads = await Promise.all(runs.map(({ workload }) => buildWorkload(workload)));
  const { spec } = seeds[0]!;
  const [first] = workloads as [Workload];
  const measured = first.requests.length - firstMeasured(first, spec);
  let spanMs = 0;
  let requests = 0;
  for (const workload of workloads) {
    spanMs += workload.requests.at(-1)!.arrivalMs - workload.requests[0]!.arrivalMs;
    requests += workload.requests.length;
  }
  return {
    runs,
    requests: first.requests.length,
    missesMax: missesMax(measured, seeds.length),
    speedBound: pooledSpeedBound(workloads, spec),
    ownRatePerS: (requests / spanMs) * 1000,
  };
}
