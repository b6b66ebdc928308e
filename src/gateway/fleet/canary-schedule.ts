// When an engine's workers get a canary: after joining, and periodically while they are idle.

import type { Logger } from 'pino';
import type { CanaryReport, Finding } from '../engines/canary-report.ts';
import type { Engine, Worker } from '../engines/engine.ts';
import { diagnose } from '../proof/diagnosis.ts';
import { countsOf, hasEnded, type WorkerCounts } from '../proof/finding-end.ts';

/** Pause after a canary that failed or found something; doubles each time. */
const retryMs = 30_000;
/** A worker with findings gets a canary after this time even if it is never idle. */
const busyMsMax = 60_000;

export interface CanaryOptions {
  /** False: no canaries are sent. */
  readonly canary: boolean;
  readonly canaryIntervalMs: number;
}

export class CanarySchedule {
  readonly #engine: Engine;
  readonly #options: CanaryOptions;
  readonly #send: (worker: Worker) => Promise<CanaryReport>;
  readonly #log: Logger;
  #dueMs = 0;
  /** Consecutive rounds with a canary that failed or found something. */
  #missed = 0;
  /** Counts of each worker when its findings were made. */
  readonly #countsThen = new Map<Worker, WorkerCounts>();
  #underWay = false;

  constructor(engine: Engine, options: CanaryOptions, send: (worker: Worker) => Promise<CanaryReport>, log: Logger) {
    this.#engine = engine;
    this.#options = options;
    this.#send = send;
    this.#log = log;
  }

  /** Call when the engine has become ready. */
  joined(): void {
    if (this.#options.canary) {
      void this.#run();
      return;
    }
    for (const worker of this.#engine.workers) {
      this.#keep(worker, { timeMs: Date.now(), state: 'off', ...diagnose(null, worker.circumstances) });
    }
  }

  /** Call periodically while the engine is ready. */
  tick(nowMs: number): void {
    if (!this.#options.canary) return;
    for (const worker of this.#engine.workers) this.#review(worker);
    const hasFindings = this.#engine.workers.some(({ canary }) => canary?.state === 'faulty');
    const isIdle = this.#engine.inFlight === 0 || (hasFindings && nowMs >= this.#dueMs + busyMsMax);
    if (nowMs >= this.#dueMs && isIdle) void this.#run();
  }

  /** Ends findings that are no longer true. */
  #review(worker: Worker): void {
    const { canary } = worker;
    const then = this.#countsThen.get(worker);
    if (canary?.state !== 'faulty' || then === undefined || this.#underWay) return;
    const findings = canary.findings.filter((finding) => !hasEnded(finding, worker, then));
    if (findings.length === canary.findings.length) return;
    for (const { cause } of canary.findings.filter((finding) => !findings.includes(finding))) {
      this.#log.info({ worker: worker.id, cause }, 'canary finding ended');
    }
    worker.canary = { ...canary, timeMs: Date.now(), state: findings.length === 0 ? 'sound' : 'faulty', findings };
  }

  /** Never rejects: a canary that could not be sent counts as inconclusive. */
  async #run(): Promise<void> {
    if (this.#underWay) return;
    this.#underWay = true;
    let missed = false;
    // One after the other, since workers behind one address share a queue.
    for (const worker of this.#engine.workers) {
      const report = await this.#reportOf(worker);
      // It has left meanwhile: its router no longer knows it.
      if (!this.#engine.workers.includes(worker)) continue;
      this.#keep(worker, report);
      missed ||= report.state === 'inconclusive' || report.state === 'faulty';
    }
    for (const worker of this.#countsThen.keys()) {
      if (!this.#engine.workers.includes(worker)) this.#countsThen.delete(worker);
    }
    const { canaryIntervalMs } = this.#options;
    this.#missed = missed ? this.#missed + 1 : 0;
    const waitMs = missed ? Math.min(canaryIntervalMs, retryMs * 2 ** (this.#missed - 1)) : canaryIntervalMs;
    this.#dueMs = performance.now() + waitMs;
    this.#underWay = false;
  }

  async #reportOf(worker: Worker): Promise<CanaryReport> {
    try {
      return await this.#send(worker);
    } catch (error) {
      this.#log.error({ worker: worker.id, err: error }, 'canary failed: internal error');
      return {
        timeMs: Date.now(),
        state: 'inconclusive',
        reason: error instanceof Error ? error.message : String(error),
      };
    }
  }

  #keep(worker: Worker, report: CanaryReport): void {
    const before = worker.canary;
    worker.canary = report;
    this.#countsThen.set(worker, countsOf(worker));
    const line = { worker: worker.id };
    if (report.state === 'inconclusive') {
      this.#log.debug({ ...line, reason: report.reason }, 'canary not answered');
      return;
    }
    const known = before === null || before.state === 'inconclusive' ? null : before.findings;
    if (known !== null && isSame(known, report.findings)) return;
    for (const { cause, message } of report.findings) this.#log.warn({ ...line, cause }, message);
    if (report.state === 'sound')
      this.#log.info({ ...line, proofs: report.proofs }, 'canary answered: worker is sound');
  }
}

function isSame(some: readonly Finding[], others: readonly Finding[]): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}
