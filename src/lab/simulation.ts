// Simulates a cluster in virtual time: the gateway's router, or several, and simulated engines, as discrete events.
//
// Time is in integer nanoseconds. Order of simultaneous events: ends of steps (by worker), KV events, messages between
// routers, bookings, arrivals; then every idle engine with work starts a step, and routers send what they have booked. A
// step's KV events reach the routers before its tokens. Simultaneous arrivals at a router are planned together if it
// plans bursts.

import { assert } from '../core/assert.ts';
import type { Router } from '../core/router.ts';
import type { BlockHashes, Booking, KvEvent, WorkerIndex } from '../core/types.ts';
import { Engine, type EngineStep } from '../sim/index.ts';
import type { Workload } from '../trace/workload.ts';
import { ArrivalGate } from './arrival-gate.ts';
import { ContentHasher, hashPrompt } from './content-hash.ts';
import { EventQueue } from './event-queue.ts';
import { slowTimeOf } from './fleet.ts';
import { speedOf, toldSpeeds, workerEngineOptions } from './fleet-engines.ts';
import { eventRank, type LabEvent, type Placed } from './lab-event.ts';
import { LabRouter, type Placing } from './lab-router.ts';
import { LoadSeries } from './load-series.ts';
import { RequestLog } from './request-log.ts';
import { RouterNetwork } from './router-network.ts';
import { engineOptions, type RunSpec } from './run-spec.ts';
import type { SimulationLimits, SimulationResult, SimulationWatch } from './simulation-result.ts';
import { SloWatch } from './slo-watch.ts';

interface LabWorker {
  readonly engine: Engine;
  /** Factor on the time of steps that begin now. */
  slowness: number;
  /** The current step. Null when idle. */
  step: EngineStep | null;
  readonly stepEnd: LabEvent;
  /** Workload index of each request, by the engine's request id. */
  readonly requests: number[];
}

/** The same workload and spec give the same result, bit for bit. */
export function simulate(
  workload: Workload,
  spec: RunSpec,
  limits: SimulationLimits = {},
  watch: SimulationWatch = {},
): SimulationResult {
  return new Simulation(workload, spec, limits, watch).run();
}

/** Index of the first measured request. Earlier requests warm up the caches, and their latencies do not count. */
export function firstMeasured(workload: Workload, spec: RunSpec): number {
  const { requests } = workload;
  const allAtOnce = requests.every(({ arrivalMs }) => arrivalMs === requests[0]!.arrivalMs);
  return allAtOnce && workload.concurrencyMax === undefined ? 0 : Math.floor(requests.length * spec.warmupShare);
}

class Simulation {
  readonly #workload: Workload;
  readonly #spec: RunSpec;
  readonly #watch: SimulationWatch;
  /** By worker; policies that know the speeds read them. */
  readonly #toldSpeeds: number[];
  readonly #slo: SloWatch;
  readonly #routers: readonly LabRouter[];
  /** Null: the routers share nothing, or there is only one. */
  readonly #network: RouterNetwork | null;
  /** The router of each request that has arrived. */
  readonly #via: LabRouter[] = [];
  readonly #workers: LabWorker[];
  readonly #queue = new EventQueue<LabEvent>();
  readonly #log: RequestLog;
  readonly #load: LoadSeries;
  readonly #firstMeasured: number;
  readonly #bookings: Booking[] = [];
  /** 1: the worker ended a step or got a request at this time. */
  readonly #touched: Uint8Array;
  readonly #gate: ArrivalGate;
  /** Whether workers differ in KV capacity. */
  readonly #isSized: boolean;
  #nowNs = 0;
  #endNs = 0;

  constructor(workload: Workload, spec: RunSpec, limits: SimulationLimits, watch: SimulationWatch) {
    this.#workload = workload;
    this.#spec = spec;
    this.#watch = watch;
    this.#gate = new ArrivalGate(workload);
    this.#log = new RequestLog(workload.requests.length);
    this.#load = new LoadSeries(spec.workers);
    this.#firstMeasured = firstMeasured(workload, spec);
    const missesMax = limits.missesMax ?? Number.POSITIVE_INFINITY;
    this.#slo = new SloWatch(workload, spec.slo, engineOptions(spec), this.#log, this.#firstMeasured, missesMax);
    const { policy } = spec;
    const { speeds, engine } = toldSpeeds(spec);
    this.#toldSpeeds = speeds;
    this.#touched = new Uint8Array(spec.workers);
    this.#workers = Array.from({ length: spec.workers }, (_, index) => ({
      engine: new Engine(workerEngineOptions(spec, index)),
      slowness: 1,
      step: null,
      stepEnd: { kind: 'step-end', worker: index },
      requests: [],
    }));
    const capacities = this.#workers.map((_, index) => {
      return { blockSize: spec.blockSize, capacityBlocks: workerEngineOptions(spec, index).blocks - 1 };
    });
    this.#routers = Array.from({ length: policy.routers.routers }, (_, at) => {
      return new LabRouter(policy, spec.seed + at * 7919, { speeds, engine }, booksLate(spec), capacities);
    });
    this.#network = this.#networkOf(spec);
    this.#isSized = spec.fleet?.kvTokens !== undefined;
    const slow = slowTimeOf(workload, spec.fleet?.slowDown);
    if (slow !== null) {
      const { worker, factor } = slow;
      this.#push(slow.fromNs, { kind: 'pace', worker, factor });
      this.#push(slow.untilNs, { kind: 'pace', worker, factor: 1 });
    }
    for (const [index, { arrivalMs, after }] of workload.requests.entries()) {
      if (after === undefined) this.#push(Math.round(arrivalMs * 1e6), { kind: 'arrival', request: index });
    }
  }

  run(): SimulationResult {
    while (this.#queue.size > 0 && !this.#slo.isLost) {
      this.#nowNs = this.#queue.nextAt;
      if (this.#load.nextNs < this.#nowNs) this.#load.sampleTo(this.#nowNs, (worker) => this.#readLoad(worker));
      while (this.#queue.nextAt === this.#nowNs) this.#apply(this.#queue.pop()!);
      for (const router of this.#routers) {
        router.routeArrived(this.#nowMs, this.#settle);
        if (router.roomChanged) router.drain(this.#nowMs, this.#settle);
      }
      this.#network?.flush(this.#nowNs);
      this.#startSteps();
    }
    return {
      log: this.#log,
      load: this.#load,
      engines: this.#workers.map(({ engine }) => engine),
      router: this.#routers[0]!.router,
      sharing: this.#network?.figures(this.#nowNs) ?? null,
      endNs: this.#endNs,
      stoppedEarly: this.#slo.isLost,
    };
  }

  #networkOf({ policy, seed }: RunSpec): RouterNetwork | null {
    const { routers } = policy;
    if (!routers.sharing || routers.routers === 1) return null;
    const { requests } = this.#workload;
    const span = { fromNs: Math.round(requests[0]!.arrivalMs * 1e6), untilNs: requests.at(-1)!.arrivalMs * 1e6 };
    const all = this.#routers.map(({ router }) => router);
    return new RouterNetwork(routers, all, seed, span, (timeNs, event) => this.#push(timeNs, event));
  }

  #push(timeNs: number, event: LabEvent): void {
    this.#queue.push(timeNs, eventRank[event.kind], event);
  }

  get #nowMs(): number {
    return this.#nowNs / 1e6;
  }

  #apply(event: LabEvent): void {
    switch (event.kind) {
      case 'arrival':
        if (this.#gate.arrived(event.request)) this.#admit(event.request);
        break;
      case 'admission':
        this.#admit(event.request);
        break;
      case 'booking':
        if (booksLate(this.#spec)) this.#routerOf(event.request).count(event.routed.booking, this.#nowMs);
        this.#submit(event.request, event.routed);
        break;
      case 'kv-events':
        this.#applyEvents(event.worker, event.events);
        break;
      case 'router-message':
      case 'router-tick':
      case 'router-flush':
        this.#network!.apply(event, this.#nowNs, this.#queue.size - this.#network!.pending + 1);
        break;
      case 'pace':
        this.#pace(event.worker, event.factor);
        break;
      case 'step-end':
        this.#endStep(event.worker);
        break;
    }
  }

  /** Changes the factor for later steps; the current step keeps its time. */
  #pace(worker: WorkerIndex, factor: number): void {
    this.#workers[worker]!.slowness = factor;
    const { told, slowWorker } = this.#spec.policy;
    if (told) this.#toldSpeeds[worker] = speedOf(this.#spec, worker) / factor;
    if (slowWorker === 'drained') for (const { router } of this.#routers) router.setRoutable(worker, factor === 1);
  }

  #admit(request: number): void {
    this.#log.arrivalNs[request] = this.#nowNs;
    this.#log.setFate(request, 'running');
    const { requests, contentBlockTokens } = this.#workload;
    const hashes = hashPrompt(requests[request]!, request, contentBlockTokens, this.#spec.blockSize);
    const { isl, osl, tenant = '' } = requests[request]!;
    const asked = { prompts: [{ isl, hashes: [hashes] }], ...this.#tooSmallFor(isl + osl) };
    const via = this.#routerFor(request, hashes);
    this.#via[request] = via;
    via.arrived({ index: request, hashes, priority: 0, lane: '', tenant, request: () => asked });
    if (!via.router.plansBursts) via.routeArrived(this.#nowMs, this.#settle);
  }

  #routerFor(request: number, { count, sequence }: BlockHashes): LabRouter {
    const { spread } = this.#spec.policy.routers;
    const at = spread === 'prefix' && count > 0 ? sequence[0]! : request;
    return this.#routers[at % this.#routers.length]!;
  }

  #routerOf(request: number): Router {
    return this.#via[request]!.router;
  }

  #applyEvents(worker: WorkerIndex, events: readonly KvEvent[]): void {
    for (const { router } of this.#routers) for (const event of events) router.applyKvEvent(worker, event, this.#nowMs);
  }

  /** Workers of a mixed fleet that can't hold the request are excluded, like workers with a context limit. */
  #tooSmallFor(tokens: number): { readonly excluded?: ReadonlySet<WorkerIndex> } {
    if (!this.#isSized) return {};
    const excluded = new Set<WorkerIndex>();
    for (const [worker, { engine }] of this.#workers.entries()) {
      if (tokens > engine.contextTokensMax) excluded.add(worker);
    }
    // If none can hold it, the policy chooses and the engine refuses.
    return excluded.size === this.#workers.length ? {} : { excluded };
  }

  readonly #settle = ({ routable: { index: request, hashes }, outcome: routed }: Placing): void => {
    if (routed === 'full' || routed.kind === 'refused') {
      this.#fail(request, 'refused');
      return;
    }
    const { decision } = routed;
    this.#log.worker[request] = decision.worker;
    this.#log.predictedTokens[request] = decision.overlapTokens;
    this.#log.predictedTtftMs[request] = decision.predictedTtftMs ?? Number.NaN;
    this.#watch.onDecision?.(request, decision, this.#nowNs);
    const booking = routed.bookings[0]!;
    this.#bookings[request] = booking;
    const placed = { worker: decision.worker, booking, hashes };
    const delayNs = Math.round(this.#spec.policy.bookDelayMs * 1e6);
    if (delayNs === 0) this.#submit(request, placed);
    else this.#push(this.#nowNs + delayNs, { kind: 'booking', request, routed: placed });
  };

  #submit(request: number, { worker, booking, hashes }: Placed): void {
    const { isl, osl } = this.#workload.requests[request]!;
    const { engine, requests } = this.#workers[worker]!;
    if (isl + osl > engine.contextTokensMax) {
      this.#routerOf(request).release(booking, 'failed', this.#nowMs);
      this.#fail(request, 'too-long');
      return;
    }
    const prompt = { tokenCount: isl, hashes: hashes.sequence, hasher: new ContentHasher(hashes.blockSize, request) };
    const submission = engine.submit({ prompt, outputTokensMax: osl });
    assert(submission.kind === 'accepted', 'an engine of the lab takes every request that fits its KV');
    requests[submission.request.id] = request;
    this.#touched[worker] = 1;
  }

  /** Starts a step on each idle worker that may have work, in order of workers. */
  #startSteps(): void {
    const touched = this.#touched;
    for (let worker = 0; worker < touched.length; worker++) {
      if (touched[worker] === 0) continue;
      touched[worker] = 0;
      this.#startStep(worker);
    }
  }

  #startStep(index: WorkerIndex): void {
    const worker = this.#workers[index]!;
    if (worker.step !== null) return;
    worker.step = worker.engine.step();
    if (worker.step === null) return;
    const stepNs = worker.slowness === 1 ? worker.step.stepNs : Math.round(worker.step.stepNs * worker.slowness);
    this.#push(this.#nowNs + stepNs, worker.stepEnd);
  }

  #endStep(index: WorkerIndex): void {
    const worker = this.#workers[index]!;
    const { step } = worker;
    assert(step !== null, 'a step that ends has begun');
    worker.step = null;
    this.#touched[index] = 1;
    this.#endNs = this.#nowNs;
    this.#watch.onStep?.(index, step, worker.engine, this.#nowNs);
    this.#deliver(index, step.events);
    for (const engineRequest of step.sampled) {
      const request = worker.requests[engineRequest.id]!;
      if (engineRequest.outputTokens === 1) this.#firstToken(request, engineRequest.cachedTokens);
      else this.#laterTokens(request, engineRequest.sampledTokens);
    }
    for (const engineRequest of step.finished) this.#finish(worker.requests[engineRequest.id]!);
  }

  #deliver(worker: WorkerIndex, events: readonly KvEvent[]): void {
    if (events.length === 0 || !this.#spec.policy.kvEvents) return;
    const delayNs = Math.round(this.#spec.policy.eventDelayMs * 1e6);
    if (delayNs > 0) this.#push(this.#nowNs + delayNs, { kind: 'kv-events', worker, events });
    else this.#applyEvents(worker, events);
  }

  #firstToken(request: number, cachedTokens: number): void {
    this.#log.firstTokenNs[request] = this.#nowNs;
    this.#log.lastTokenNs[request] = this.#nowNs;
    this.#log.cachedTokens[request] = cachedTokens;
    const booking = this.#bookings[request]!;
    const router = this.#routerOf(request);
    this.#log.regretMs[request] = router.firstToken(booking, this.#nowMs)?.regretMs ?? Number.NaN;
    router.outputTokens(booking, 1, this.#nowMs);
    this.#slo.firstToken(request);
  }

  /** Tokens of one step arrive together: one gap, and none between them. */
  #laterTokens(request: number, tokens: number): void {
    const { lastTokenNs, gapsMs } = this.#log;
    if (request >= this.#firstMeasured) {
      gapsMs.record((this.#nowNs - lastTokenNs[request]!) / 1e6);
      for (let i = 1; i < tokens; i++) gapsMs.record(0);
    }
    lastTokenNs[request] = this.#nowNs;
    this.#routerOf(request).outputTokens(this.#bookings[request]!, tokens, this.#nowMs);
  }

  #finish(request: number): void {
    this.#routerOf(request).release(this.#bookings[request]!, 'done', this.#nowMs);
    this.#log.setFate(request, 'done');
    this.#slo.done(request);
    this.#end(request);
  }

  #fail(request: number, fate: 'too-long' | 'refused'): void {
    this.#log.setFate(request, fate);
    this.#slo.failed(request);
    this.#end(request);
  }

  /** Lets the requests proceed that waited for the end of `request`. */
  #end(request: number): void {
    const { followers, admitted } = this.#gate.ended(request);
    for (const { request: follower, thinkMs } of followers) {
      this.#push(this.#nowNs + Math.round(thinkMs * 1e6), { kind: 'arrival', request: follower });
    }
    if (admitted !== null) this.#push(this.#nowNs, { kind: 'admission', request: admitted });
  }

  #readLoad(worker: WorkerIndex): { unfinished: number; kvUsage: number } {
    const { engine } = this.#workers[worker]!;
    return { unfinished: engine.waitingCount + engine.runningCount, kvUsage: engine.kvUsage };
  }
}

/** Round robin reads no load, so late booking makes no difference to it. */
function booksLate({ policy }: RunSpec): boolean {
  return policy.bookDelayMs > 0 && policy.name !== 'round-robin';
}
