// The fleet as it is now: each worker's load, speed, trust and health, and what they add up to.

import type { Router, WorkerLoad } from '../../core/index.ts';
import type { Engine, Worker } from '../engines/engine.ts';
import type { WorkerTrust } from '../feeds/worker-trust.ts';
import type { Pool } from '../pools/pool.ts';
import type { Pools } from '../pools/pools.ts';
import { trustStateOf } from './decision-view.ts';
import { bySeverity, findingsOfEngine, findingsOfWorker } from './findings.ts';
import type {
  Finding,
  FleetState,
  PoolState,
  TrustSummary,
  WorkerLoadState,
  WorkerSpeedState,
  WorkerState,
} from './fleet-data.ts';
import type { FleetHistory } from './fleet-history.ts';
import { orNull } from './series-ring.ts';
import type { TruthLedger } from './truth-ledger.ts';
import { count, percent, time } from './why.ts';

/** Engines may list any number of adapters. */
const modelsShownMax = 16;
const hitRateSeconds = 60;

export interface FleetSources {
  readonly pools: Pools;
  readonly engines: readonly Engine[];
  readonly history: FleetHistory;
  readonly truth: TruthLedger;
  leaving(engine: Engine): boolean;
}

/** Joined workers by pool and id, then engines that have not joined. O(workers + bookings) */
export function workersOf(sources: FleetSources, nowMs: number): WorkerState[] {
  const { pools, engines } = sources;
  const shared = new Map<Router, Int32Array>();
  for (const { router } of pools) {
    router.advance(nowMs);
    shared.set(router, router.sharedBlocks());
  }
  const states = engines.flatMap((engine) => {
    const pool = pools.poolOf(engine);
    if (engine.workers.length === 0) return [unjoined(engine, sources)];
    return engine.workers.map((worker) => stateOf(worker, pool, sources, shared, nowMs));
  });
  return states.sort((a, b) => compare(a.pool ?? '\uffff', b.pool ?? '\uffff') || compare(a.id, b.id));
}

export function poolsOf({ pools }: FleetSources): PoolState[] {
  return [...pools].map((pool) => {
    const engines = [...pool.workers].map(({ engine }) => engine);
    const models = new Set(engines.flatMap((engine) => engine.models.map(({ id }) => id)));
    const { waiting, waitingBlocks } = pool.desk;
    return {
      name: pool.name,
      models: [...models].slice(0, modelsShownMax),
      workers: engines.length,
      ready: engines.filter(({ takesRequests }) => takesRequests).length,
      waiting,
      waitingBlocks,
    };
  });
}

export function fleetOf({ history, truth }: FleetSources, workers: readonly WorkerState[]): FleetState {
  const loads = workers.flatMap(({ load }) => (load === null ? [] : [load]));
  const sum = (of: (load: WorkerLoadState) => number): number => loads.reduce((total, load) => total + of(load), 0);
  const usages = loads.map(usageOf);
  const mean = usages.reduce((total, usage) => total + usage, 0) / Math.max(1, usages.length);
  return {
    workers: workers.length,
    ready: workers.filter(({ health, draining }) => health === 'ready' && !draining).length,
    activeBlocks: sum((load) => load.activeBlocks),
    capacityBlocks: sum((load) => load.capacityBlocks),
    activePrefillTokens: sum((load) => load.activePrefillTokens),
    runningRequests: sum((load) => load.runningRequests),
    requestsPerS: orNull(history.fleetRequestsPerS) ?? 0,
    ttftP50Ms: history.ttftP50Ms(null),
    prefixHitRate: rate(truth.hitRate(hitRateSeconds)),
    predictedHitRate: rate(truth.predictedHitRate(hitRateSeconds)),
    toldShare: rate(truth.toldShare(hitRateSeconds)),
    imbalance: mean === 0 ? null : orNull(Math.max(...usages) / mean),
    busiest: busiestOf(workers),
    trust: trustOf(workers),
  };
}

/** All findings of the fleet, the worst first. */
export function findingsOf(workers: readonly WorkerState[]): Finding[] {
  const seen = new Set<string>();
  const findings = workers.flatMap((worker) => worker.findings);
  // An engine's finding stands at each of its workers.
  return bySeverity(
    findings.filter(({ message }) => {
      if (seen.has(message)) return false;
      seen.add(message);
      return true;
    }),
  );
}

/** Whether the router's view of the caches can be trusted, in a sentence. */
export function trustOf(workers: readonly WorkerState[]): TrustSummary {
  const joined = workers.filter(({ load }) => load !== null);
  const of = (kind: string): number => joined.filter(({ trust }) => trust.kind === kind).length;
  const counts = {
    exact: of('exact'),
    catchingUp: of('catching-up'),
    degraded: of('degraded'),
    approximate: of('approximate'),
  };
  const faulty = joined.filter(({ findings }) => findings.some(({ severity }) => severity === 'bad')).length;
  const all = joined.length;
  if (all === 0) return { level: 'bad', text: 'No worker has joined yet.', ...counts };
  if (faulty > 0) {
    return { level: 'bad', text: `No: ${workersAre(faulty, all)} faulty; the findings say why.`, ...counts };
  }
  if (counts.degraded > 0) {
    const text = `In part: the view of ${workersOfAll(counts.degraded, all)} lacks blocks; it costs cache hits, not correctness.`;
    return { level: 'warning', text, ...counts };
  }
  if (counts.approximate > 0) {
    const text = `In part: ${workersOfAll(counts.approximate, all)} send no KV events that can be used; their cache is assumed from the router's own decisions.`;
    return { level: 'warning', text, ...counts };
  }
  if (counts.catchingUp > 0) {
    const text = `Nearly: the view of ${workersOfAll(counts.catchingUp, all)} is still being completed.`;
    return { level: 'warning', text, ...counts };
  }
  return {
    level: 'good',
    text: `Yes: every KV event of ${all === 1 ? 'the worker' : `all ${all} workers`} was applied in order.`,
    ...counts,
  };
}

function workersAre(some: number, all: number): string {
  return `${workersOfAll(some, all)} ${some === 1 ? 'is' : 'are'}`;
}

function workersOfAll(some: number, all: number): string {
  return some === all ? (all === 1 ? 'the worker' : `all ${all} workers`) : `${some} of ${all} workers`;
}

function stateOf(
  worker: Worker,
  pool: Pool | undefined,
  sources: FleetSources,
  shared: ReadonlyMap<Router, Int32Array>,
  nowMs: number,
): WorkerState {
  const { id, clientId, rank, engine, membership } = worker;
  const trust: WorkerTrust = worker.trust(nowMs);
  return {
    ...ofEngine(engine, sources),
    id,
    clientId,
    rank,
    pool: pool?.name ?? null,
    trust: trustStateOf(trust),
    load:
      membership === null
        ? null
        : loadOf(membership.router.load(membership.index), shared.get(membership.router)?.[membership.index] ?? 0),
    speed: membership === null ? null : speedOf(membership.router, membership.index, nowMs),
    rates: {
      requestsPerS: orNull(sources.history.requestsPerS(id)) ?? 0,
      ttftP50Ms: sources.history.ttftP50Ms(id),
      itlMs: membership === null ? null : positive(membership.router.load(membership.index).tokenGapMs),
      prefixHitRate: hitRateOf(worker),
    },
    findings: [...findingsOfEngine(engine), ...findingsOfWorker(worker, trust)],
  };
}

function unjoined(engine: Engine, sources: FleetSources): WorkerState {
  return {
    ...ofEngine(engine, sources),
    id: engine.url,
    rank: 0,
    pool: null,
    trust: { kind: 'unknown', reason: null, detail: null },
    load: null,
    speed: null,
    rates: null,
    findings: findingsOfEngine(engine),
  };
}

function ofEngine(
  engine: Engine,
  { leaving }: FleetSources,
): Pick<
  WorkerState,
  'url' | 'clientId' | 'models' | 'engine' | 'health' | 'healthReason' | 'draining' | 'drained' | 'leaving'
> {
  const { url, clientId, models, state, reason, draining, inFlight } = engine;
  const kind = models[0]?.description;
  return {
    url,
    clientId,
    models: models.slice(0, modelsShownMax).map(({ id }) => id),
    engine: typeof kind?.owned_by === 'string' ? kind.owned_by.slice(0, 64) : null,
    health: state,
    healthReason: reason,
    draining,
    drained: draining && inFlight === 0,
    leaving: leaving(engine),
  };
}

function loadOf(load: WorkerLoad, sharedBlocks: number): WorkerLoadState {
  return {
    activeBlocks: load.activeBlocks,
    promptBlocks: load.activeBlocks - load.ownBlocks,
    sharedBlocks,
    outputBlocks: load.ownBlocks,
    otherRoutersBlocks: Math.round(load.othersBlocks),
    capacityBlocks: load.capacityBlocks,
    capacityKnown: load.capacityKnown,
    blockTokens: load.blockSize,
    heldBlocks: load.heldBlocks,
    activePrefillTokens: load.activePrefillTokens,
    otherRoutersPrefillTokens: load.othersPrefillTokens,
    runningRequests: load.runningRequests,
  };
}

function speedOf(router: Pool['router'], index: number, nowMs: number): WorkerSpeedState {
  const { prefillTokensPerS, tokenGapMs } = router.load(index);
  const { slowness, slownessError, backlogMs, ttftErrorShare, ttftBiasShare } = router.speedOf(index, nowMs);
  return {
    prefillTokensPerS: positive(prefillTokensPerS),
    msPerToken: positive(tokenGapMs),
    slowness: orNull(slowness) ?? 1,
    slownessError: orNull(slownessError) ?? 1,
    backlogMs: orNull(backlogMs) ?? 0,
    ttftErrorShare: rate(ttftErrorShare),
    ttftBiasShare: rate(ttftBiasShare),
  };
}

function hitRateOf({ account: { tokens } }: Worker): number | null {
  const { cachedTokens, workloadMissTokens, routingMissTokens, promiseMissTokens, indexMissTokens, surplusTokens } =
    tokens;
  const prompt =
    cachedTokens + workloadMissTokens + routingMissTokens + promiseMissTokens + indexMissTokens - surplusTokens;
  return prompt <= 0 ? null : orNull(cachedTokens / prompt);
}

function busiestOf(workers: readonly WorkerState[]): FleetState['busiest'] {
  let busiest: WorkerState | null = null;
  let usage = 0;
  for (const worker of workers) {
    const own = worker.load === null ? 0 : usageOf(worker.load);
    if (own <= usage) continue;
    usage = own;
    busiest = worker;
  }
  if (busiest === null) return null;
  const { id, load, speed } = busiest;
  const { activeBlocks, capacityBlocks, promptBlocks, activePrefillTokens, runningRequests } = load!;
  const slower =
    speed !== null && speed.slowness >= 1.2 ? ` It is ${speed.slowness.toFixed(1)} times slower than its pool.` : '';
  const prefill =
    activePrefillTokens === 0
      ? 'and no prefill waits'
      : `and ${count(activePrefillTokens)} prompt tokens to compute (${time(speed?.backlogMs ?? 0)})`;
  const why =
    `${percent(activeBlocks, capacityBlocks)} of its KV blocks are in use by ${count(runningRequests)} ` +
    `${runningRequests === 1 ? 'request' : 'requests'}, ${percent(promptBlocks, activeBlocks)} of them for prompts, ${prefill}.${slower}`;
  return { worker: id, why };
}

function usageOf({ activeBlocks, otherRoutersBlocks, capacityBlocks }: WorkerLoadState): number {
  return (activeBlocks + otherRoutersBlocks) / capacityBlocks;
}

/** 0: not observed yet. */
function positive(value: number): number | null {
  return value > 0 ? orNull(value) : null;
}

function rate(value: number | null): number | null {
  return value === null ? null : orNull(value);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
