// The load and pace of the fleet and of each worker over the last hour, sampled once a second.

import type { Engine } from '../engines/engine.ts';
import type { Pools } from '../pools/pools.ts';
import type { DecisionRecord } from '../telemetry/decision-log.ts';
import type { History, HistorySeries, Span, Sparklines, WorkerSparklines } from './history-data.ts';
import { coarseStepMs, finePerCoarse, fineStepMs, orNull, SeriesRing, stepMsOf } from './series-ring.ts';
import { TtftMedian } from './ttft-median.ts';

/** Workers with a history, 25 KB each; those beyond have none, but count in the fleet's. */
export const historyWorkersMax = 1024;

/** Points of a sparkline. */
const sparklinePoints = 60;
/** `WorkerRates`: requests of the last 5 s; the latest median of the last 10 s. */
const ratePoints = 5;
const medianPoints = 10;

const rollups = {
  activeBlocks: 'mean',
  usage: 'mean',
  activePrefillTokens: 'mean',
  runningRequests: 'mean',
  requestsPerS: 'mean',
  ttftP50Ms: 'given',
  itlMs: 'mean',
  imbalance: 'mean',
  waiting: 'mean',
} as const satisfies Record<HistorySeries, string>;

/** Series that only the fleet has. */
type FleetOnly = 'imbalance' | 'waiting';
const { imbalance: _imbalance, waiting: _waiting, ...workerRollups } = rollups;

/** Positions in the points that are added. */
const at = { activeBlocks: 0, usage: 1, activePrefillTokens: 2, runningRequests: 3, requestsPerS: 4, ttftP50Ms: 5 };
const itlAt = 6;
const imbalanceAt = 7;
const waitingAt = 8;

/** First tokens and requests since the last sample. */
class Pace {
  requests = 0;
  readonly fine: TtftMedian = new TtftMedian();
  readonly coarse: TtftMedian = new TtftMedian();

  firstToken(ms: number): void {
    this.fine.record(ms);
    this.coarse.record(ms);
  }

  takeRequests(): number {
    const { requests } = this;
    this.requests = 0;
    return requests;
  }
}

class WorkerHistory extends Pace {
  readonly ring: SeriesRing<Exclude<HistorySeries, FleetOnly>> = new SeriesRing(workerRollups);
}

/** `sample` is O(workers), everything else O(1) or only for viewers. */
export class FleetHistory {
  readonly #pools: Pools;
  readonly #engines: readonly Engine[];
  readonly #byWorker = new Map<string, WorkerHistory>();
  readonly #fleet = new SeriesRing<HistorySeries>(rollups);
  readonly #fleetPace = new Pace();
  readonly #point = new Float64Array(waitingAt + 1);
  #samples = 0;
  #endMs = 0;
  #busiest: string | null = null;

  constructor(pools: Pools, engines: readonly Engine[]) {
    this.#pools = pools;
    this.#engines = engines;
  }

  /** Unix time of the latest point. */
  get endMs(): number {
    return this.#endMs;
  }

  /** The worker with the highest share of its capacity in use at the last sample; null: all are idle. */
  get busiest(): string | null {
    return this.#busiest;
  }

  get fleet(): SeriesRing<HistorySeries> {
    return this.#fleet;
  }

  routed({ worker }: DecisionRecord): void {
    this.#fleetPace.requests += 1;
    const history = this.#follow(worker);
    if (history !== null) history.requests += 1;
  }

  firstToken({ worker, ttftMs }: DecisionRecord): void {
    if (ttftMs === null) return;
    this.#fleetPace.firstToken(ttftMs);
    this.#byWorker.get(worker)?.firstToken(ttftMs);
  }

  /** @param timeMs Unix time @param nowMs on the routers' clock */
  sample(timeMs: number, nowMs: number): void {
    this.#endMs = timeMs;
    this.#samples += 1;
    const isCoarse = this.#samples % finePerCoarse === 0;
    this.#followWorkers();
    const sums = { active: 0, capacity: 0, prefill: 0, running: 0, waiting: 0, usage: 0, usageMax: 0, workers: 0 };
    let gapMs = 0;
    let gaps = 0;
    this.#busiest = null;
    for (const pool of this.#pools) {
      sums.waiting += pool.desk.waiting;
      pool.router.advance(nowMs);
    }
    for (const engine of this.#engines) {
      for (const { id, membership } of engine.workers) {
        const history = this.#byWorker.get(id);
        if (membership === null) {
          history?.ring.add(this.#point.fill(Number.NaN));
          if (isCoarse) history?.ring.rollUp(this.#point);
          continue;
        }
        const load = membership.router.load(membership.index);
        const usage = load.activeBlocks / load.capacityBlocks;
        sums.active += load.activeBlocks;
        sums.capacity += load.capacityBlocks;
        sums.prefill += load.activePrefillTokens;
        sums.running += load.runningRequests;
        sums.usage += usage;
        sums.workers += 1;
        if (load.tokenGapMs > 0) {
          gapMs += load.tokenGapMs;
          gaps += 1;
        }
        if (usage > sums.usageMax) {
          sums.usageMax = usage;
          this.#busiest = id;
        }
        if (history === undefined) continue;
        this.#fill(history, load.activeBlocks, usage, load.activePrefillTokens, load.runningRequests);
        this.#point[itlAt] = load.tokenGapMs > 0 ? load.tokenGapMs : Number.NaN;
        history.ring.add(this.#point);
        if (isCoarse) this.#rollUp(history, history.ring);
      }
    }
    const usage = sums.capacity === 0 ? Number.NaN : sums.active / sums.capacity;
    this.#fill(this.#fleetPace, sums.active, usage, sums.prefill, sums.running);
    this.#point[itlAt] = gaps === 0 ? Number.NaN : gapMs / gaps;
    this.#point[imbalanceAt] = sums.usage === 0 ? Number.NaN : (sums.usageMax * sums.workers) / sums.usage;
    this.#point[waitingAt] = sums.waiting;
    this.#fleet.add(this.#point);
    if (isCoarse) this.#rollUp(this.#fleetPace, this.#fleet);
  }

  requestsPerS(worker: string): number {
    const ring = this.#byWorker.get(worker)?.ring;
    return ring === undefined ? 0 : ring.recentSum('requestsPerS', ratePoints) / ratePoints;
  }

  /** Null: no first token in the last 10 s. */
  ttftP50Ms(worker: string | null): number | null {
    const ring = worker === null ? this.#fleet : this.#byWorker.get(worker)?.ring;
    for (let back = 0; back < medianPoints && ring !== undefined; back++) {
      const value = ring.latest('ttftP50Ms', back);
      if (!Number.isNaN(value)) return orNull(value);
    }
    return null;
  }

  get fleetRequestsPerS(): number {
    return this.#fleet.recentSum('requestsPerS', ratePoints) / ratePoints;
  }

  /** @param worker null: the fleet. @returns null if the worker has no history */
  history(worker: string | null, span: Span): History | null {
    const ring: Pick<SeriesRing<HistorySeries>, 'points'> | undefined =
      worker === null ? this.#fleet : (this.#byWorker.get(worker)?.ring as SeriesRing<HistorySeries> | undefined);
    if (ring === undefined) return null;
    const names = Object.keys(rollups) as HistorySeries[];
    const series = names.map((name) => {
      const isMissing = worker !== null && !(name in workerRollups);
      return [name, isMissing ? ring.points('usage', span).map(() => null) : ring.points(name, span)];
    });
    return {
      span,
      stepMs: stepMsOf(span),
      endMs: span === 'fine' ? this.#endMs : this.#endMs - (this.#samples % finePerCoarse) * fineStepMs,
      worker,
      series: Object.fromEntries(series) as History['series'],
    };
  }

  sparklines(): Sparklines {
    const workers: Record<string, WorkerSparklines> = {};
    for (const [id, { ring }] of this.#byWorker) {
      workers[id] = {
        usage: ring.points('usage', 'fine', sparklinePoints),
        requestsPerS: ring.points('requestsPerS', 'fine', sparklinePoints),
        ttftP50Ms: ring.points('ttftP50Ms', 'fine', sparklinePoints),
        itlMs: ring.points('itlMs', 'fine', sparklinePoints),
      };
    }
    return { stepMs: fineStepMs, endMs: this.#endMs, workers };
  }

  /** Bytes of all rings. */
  get bytes(): number {
    let bytes = this.#fleet.bytes;
    for (const { ring } of this.#byWorker.values()) bytes += ring.bytes;
    return bytes;
  }

  /** Begins histories of new workers and ends those of workers that have left. */
  #followWorkers(): void {
    const present = new Set<string>();
    for (const { workers } of this.#engines) {
      for (const { id } of workers) {
        present.add(id);
        this.#follow(id);
      }
    }
    for (const id of this.#byWorker.keys()) if (!present.has(id)) this.#byWorker.delete(id);
  }

  /** @returns null beyond `historyWorkersMax` */
  #follow(worker: string): WorkerHistory | null {
    const known = this.#byWorker.get(worker);
    if (known !== undefined) return known;
    if (this.#byWorker.size >= historyWorkersMax) return null;
    const history = new WorkerHistory();
    this.#byWorker.set(worker, history);
    return history;
  }

  #fill(pace: Pace, activeBlocks: number, usage: number, prefillTokens: number, running: number): void {
    const point = this.#point;
    point[at.activeBlocks] = activeBlocks;
    point[at.usage] = usage;
    point[at.activePrefillTokens] = prefillTokens;
    point[at.runningRequests] = running;
    point[at.requestsPerS] = pace.takeRequests() * (1000 / fineStepMs);
    point[at.ttftP50Ms] = pace.fine.take();
  }

  #rollUp(pace: Pace, ring: SeriesRing<HistorySeries> | WorkerHistory['ring']): void {
    this.#point.fill(Number.NaN);
    this.#point[at.ttftP50Ms] = pace.coarse.take();
    ring.rollUp(this.#point);
  }
}

/** An hour. */
export const historyMs: number = 360 * coarseStepMs;
