// A made-up fleet as the page's contract describes it: the same at every run, in any size, with a slow and a dead worker.

import { Random } from '../../src/core/random.ts';
import type {
  CandidateState,
  DecisionInFull,
  DecisionShort,
  Finding,
  History,
  Snapshot,
  Sparklines,
  WorkerState,
} from '../../src/gateway/page/page-data.ts';

const blockTokens = 16;
const capacityBlocks = 8192;
const model = 'llama-3.1-8b';
const exact = { kind: 'exact', reason: null, detail: null } as const;
const gone = {
  kind: 'degraded',
  reason: 'lost-batches',
  detail: '3 batches are lost; only blocks announced since are known',
} as const;

export interface FleetOptions {
  readonly workers: number;
  readonly seed?: number;
  readonly startedMs: number;
}

export class FakeFleet {
  readonly #options: FleetOptions;
  readonly #random: Random;
  /** How busy each worker is in the long run, 0 to 1. */
  readonly #busy: number[];
  #seq = 0;
  readonly decisions: DecisionInFull[] = [];
  /** Index of a worker that is down; -1: none. */
  downIndex: number;
  readonly draining = new Set<string>();

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#random = new Random(options.seed ?? 7);
    this.#busy = Array.from({ length: options.workers }, () => 0.15 + 0.45 * this.#random.float());
    if (options.workers > 3) this.#busy[2] = 0.82;
    this.downIndex = options.workers > 12 ? 5 : -1;
  }

  idOf(index: number): string {
    const { workers } = this.#options;
    return workers > 16 ? `http://vllm-${index}.vllm.svc:8000#0` : `http://10.0.0.${10 + index}:8000#0`;
  }

  snapshot(nowMs: number): Snapshot {
    const workers = this.#busy.map((_, index) => this.#worker(index, nowMs));
    const up = workers.filter(({ health }) => health === 'ready');
    const usage = (worker: WorkerState): number => (worker.load?.activeBlocks ?? 0) / capacityBlocks;
    const mean = workers.reduce((sum, worker) => sum + usage(worker), 0) / workers.length;
    const busiest = workers.toSorted((a, b) => usage(b) - usage(a))[0]!;
    const sum = (of: (worker: WorkerState) => number): number =>
      workers.reduce((total, worker) => total + of(worker), 0);
    return {
      timeMs: nowMs,
      router: {
        version: '0.1.0',
        policy: 'foresee',
        costUnit: 'ms x blocks',
        startedMs: this.#options.startedMs,
        stopping: false,
        threads: 1,
        recording: { on: true, path: 'traffic.jsonl' },
        tokenizer: 'builtin',
        routers: 1,
        viewers: 1,
        viewersMax: 16,
        limited: {},
        loopDelayMs: 0.4,
      },
      pools: [
        { name: model, models: [model], workers: workers.length, ready: up.length, waiting: 0, waitingBlocks: 0 },
      ],
      fleet: {
        workers: workers.length,
        ready: up.length,
        activeBlocks: sum(({ load }) => load?.activeBlocks ?? 0),
        capacityBlocks: capacityBlocks * workers.length,
        activePrefillTokens: sum(({ load }) => load?.activePrefillTokens ?? 0),
        runningRequests: sum(({ load }) => load?.runningRequests ?? 0),
        requestsPerS: sum(({ rates }) => rates?.requestsPerS ?? 0),
        ttftP50Ms: 312,
        prefixHitRate: 0.6834,
        predictedHitRate: 0.6841,
        toldShare: 1,
        imbalance: usage(busiest) / mean,
        busiest: {
          worker: busiest.id,
          why: `it is 2.3 times slower than its pool, so each of its ${busiest.load?.runningRequests ?? 0} requests stays longer; 14 of its last 20 came for a prefix that it holds.`,
        },
        trust: {
          level: 'good',
          text: `exact on ${up.length} of ${workers.length} workers`,
          exact: up.length,
          catchingUp: 0,
          degraded: workers.length - up.length,
          approximate: 0,
        },
      },
      workers,
    };
  }

  #worker(index: number, nowMs: number): WorkerState {
    const id = this.idOf(index);
    const isDown = index === this.downIndex;
    const slow = index === 2 && this.#busy.length > 3;
    const wave = Math.sin(nowMs / 4000 + index * 1.7) * 0.08;
    const usage = isDown ? 0 : Math.max(0.02, this.#busy[index]! + wave);
    const activeBlocks = Math.round(usage * capacityBlocks);
    const outputBlocks = Math.round(activeBlocks * 0.18);
    const promptBlocks = activeBlocks - outputBlocks;
    const draining = this.draining.has(id);
    const findings: Finding[] = isDown
      ? [
          {
            worker: id,
            cause: 'unreachable',
            severity: 'bad',
            message: 'its connections are refused',
            advice: 'start the engine, or remove the worker',
            source: 'health',
          },
        ]
      : [];
    return {
      id,
      url: id.slice(0, -2),
      clientId: `w${index}`,
      rank: 0,
      pool: model,
      models: [model],
      engine: 'vllm',
      health: isDown ? 'down' : 'ready',
      healthReason: isDown ? 'connect ECONNREFUSED; retried every 2 s' : null,
      draining,
      drained: false,
      leaving: false,
      trust: isDown ? gone : exact,
      load: {
        activeBlocks,
        promptBlocks,
        sharedBlocks: Math.round(promptBlocks * 0.55),
        outputBlocks,
        otherRoutersBlocks: 0,
        capacityBlocks,
        capacityKnown: true,
        blockTokens,
        heldBlocks: Math.round(capacityBlocks * 0.93),
        activePrefillTokens: Math.round(usage * 9000),
        otherRoutersPrefillTokens: 0,
        runningRequests: Math.round(usage * 64),
      },
      speed: {
        prefillTokensPerS: slow ? 4100 : 9420 + index * 13,
        msPerToken: slow ? 71.2 : 31.4,
        slowness: slow ? 2.3 : 1.02,
        slownessError: 0.06,
        backlogMs: usage * 900,
        ttftErrorShare: 0.11,
        ttftBiasShare: 0.03,
      },
      rates: {
        requestsPerS: usage * 4.4,
        ttftP50Ms: isDown ? null : slow ? 812 : 240 + 200 * usage,
        itlMs: isDown ? null : slow ? 71 : 30 + 10 * usage,
        prefixHitRate: 0.66,
      },
      findings,
    };
  }

  sparklines(nowMs: number): Sparklines {
    const line = (index: number, base: number, swing: number) =>
      Array.from({ length: 60 }, (_, at) => {
        const t = nowMs / 1000 - 60 + at;
        return Math.max(0, base * (1 + swing * Math.sin(t / 5 + index) + (swing / 2) * Math.sin(t * 1.9 + index * 3)));
      });
    const workers = Object.fromEntries(
      this.#busy.map((busy, index) => [
        this.idOf(index),
        {
          usage: line(index, busy, 0.2),
          requestsPerS: line(index, busy * 4, 0.3),
          ttftP50Ms: line(index, index === 2 ? 800 : 300, 0.25),
          itlMs: line(index, index === 2 ? 71 : 33, 0.12),
        },
      ]),
    );
    return { stepMs: 1000, endMs: nowMs, workers };
  }

  history(span: 'fine' | 'coarse', worker: string | null, nowMs: number): History {
    const stepMs = span === 'fine' ? 1000 : 10_000;
    const length = span === 'fine' ? 300 : 360;
    const line = (base: number, swing: number, phase: number) =>
      Array.from({ length }, (_, at) => {
        const t = (nowMs - (length - 1 - at) * stepMs) / 1000 / (stepMs / 1000);
        return base * (1 + swing * Math.sin(t / 23 + phase) + (swing / 3) * Math.sin(t / 2.3 + phase));
      });
    const share = worker === null ? 1 : 1 / this.#busy.length;
    return {
      span,
      stepMs,
      endMs: nowMs,
      worker,
      series: {
        activeBlocks: line(20_000 * share, 0.3, 0),
        usage: line(0.38, 0.3, 0),
        activePrefillTokens: line(16_000 * share, 0.5, 1),
        runningRequests: line(150 * share, 0.3, 0.2),
        requestsPerS: line(12 * share, 0.35, 0.4),
        ttftP50Ms: line(310, 0.4, 2),
        itlMs: line(34, 0.12, 1.3),
        imbalance: line(1.6, 0.1, 0),
        waiting: line(0, 0, 0),
      },
    };
  }

  /** A new choice, newest last; every 7th is a surprise, every 31st a retry. */
  decide(nowMs: number): DecisionShort {
    const seq = ++this.#seq;
    const random = this.#random;
    const promptTokens = 2176 + 16 * random.below(60);
    const all = this.#candidates(promptTokens);
    const winner = all.find(({ chosen }) => chosen)!;
    const predictedTtftMs = winner.ttftMs!;
    const surprise = seq % 7 === 0 ? 'ttft' : seq % 19 === 0 ? 'cache' : null;
    const actualTtftMs =
      surprise === 'ttft' ? predictedTtftMs * 1.9 + 130 : predictedTtftMs * (0.92 + 0.16 * random.float());
    const isDone = seq % 5 !== 0;
    const decision: DecisionInFull = {
      seq,
      requestId: `req-${(0x10000000 + seq * 2654435761).toString(16).slice(-8)}`,
      timeMs: nowMs,
      model,
      worker: winner.worker,
      attempt: seq % 31 === 0 ? 2 : 1,
      reason: 'cost',
      candidates: all.length,
      promptTokens,
      predictedCachedTokens: winner.overlapTokens,
      actualCachedTokens: isDone ? (surprise === 'cache' ? 0 : winner.overlapTokens) : null,
      predictedTtftMs,
      actualTtftMs: isDone ? actualTtftMs : null,
      outputTokens: isDone ? 64 : null,
      durationMs: isDone ? 2900 : null,
      outcome: isDone ? 'done' : null,
      surprise: isDone ? surprise : null,
      pool: model,
      policy: 'foresee',
      costUnit: 'ms x blocks',
      why: `it holds ${winner.overlapTokens.toLocaleString('en-US')} of the ${promptTokens.toLocaleString('en-US')} prompt tokens, so it computes only ${winner.uncachedTokens}, and ${Math.round(winner.backlogMs!)} ms of prefill wait there. The next best would have cost ${all.length > 1 ? '1.4' : '0'} times as much: it holds as much, but is busier.`,
      trust: exact,
      known: 'tokens',
      slo: null,
      predictedTpotMs: 31,
      actualPromptTokens: isDone ? promptTokens : null,
      arrivalToFirstTokenMs: isDone ? actualTtftMs + 2 : null,
      regretMs: isDone ? (seq % 3 === 0 ? 42 : 0) : null,
      bestWorker: isDone ? all[0]!.worker : null,
      account: null,
      status: isDone ? 200 : null,
      error: null,
      all,
    };
    this.decisions.push(decision);
    if (this.decisions.length > 2000) this.decisions.shift();
    return decision;
  }

  #candidates(promptTokens: number): CandidateState[] {
    const random = this.#random;
    const rows = this.#busy.map((busy, index) => {
      const holds = random.below(3) === 0 ? promptTokens - 128 : random.below(2) === 0 ? 1024 : 0;
      const backlogMs = busy * 700 * random.float();
      const uncachedTokens = promptTokens - holds;
      const slowness = index === 2 ? 2.3 : 1;
      const prefillMs = (uncachedTokens / 9.4) * slowness;
      const blocks = Math.round(busy * 2400);
      const crowding = blocks + 1;
      const cost = (backlogMs + 1.6 * prefillMs) * crowding * Math.sqrt(slowness);
      return { index, holds, backlogMs, uncachedTokens, slowness, prefillMs, blocks, crowding, cost };
    });
    const lowest = Math.min(...rows.map(({ cost }) => cost));
    return rows.map(({ index, holds, backlogMs, uncachedTokens, slowness, prefillMs, blocks, crowding, cost }) => ({
      worker: this.idOf(index),
      chosen: cost === lowest,
      cost,
      relativeCost: cost / lowest,
      terms: [
        { name: 'backlog', label: 'prefill queued there', kind: 'sum', value: backlogMs, unit: 'ms' },
        { name: 'prefill', label: 'prefill of this prompt', kind: 'sum', value: 1.6 * prefillMs, unit: 'ms' },
        { name: 'blocks', label: 'blocks', kind: 'factor', value: crowding, unit: 'blocks' },
        { name: 'slowness', label: 'slowness', kind: 'factor', value: Math.sqrt(slowness), unit: '' },
      ],
      overlapTokens: holds,
      uncachedTokens,
      ttftMs: backlogMs + prefillMs,
      tpotMs: 31,
      backlogMs,
      prefillMs,
      activeBlocks: blocks,
      newBlocks: 12,
      activePrefillTokens: Math.round(backlogMs * 9.4),
      runningRequests: Math.round(blocks / 90),
      kvUsage: blocks / capacityBlocks,
      slowness,
    }));
  }

  get ids(): string[] {
    return this.#busy.map((_busy, index) => this.idOf(index));
  }
}
