// When an engine's workers are sent a canary: as soon as they have joined, and again from time to time while they are idle.

import type { Logger } from 'pino';
import type { Engine, Worker } from '../engines/engine.ts';
import { type CanaryReport, diagnose, type Finding } from './diagnosis.ts';

/** After one that did not come back; twice as long after each further one. */
const retryMs = 30_000;

export interface CanaryOptions {
  /** False: none is sent. */
  readonly canary: boolean;
  readonly canaryIntervalMs: number;
}

export class CanarySchedule {
  readonly #engine: Engine;
  readonly #options: CanaryOptions;
  readonly #send: (worker: Worker) => Promise<CanaryReport>;
  readonly #log: Logger;
  #dueMs = 0;
  /** In a row. */
  #missed = 0;
  #underWay = false;

  constructor(engine: Engine, options: CanaryOptions, send: (worker: Worker) => Promise<CanaryReport>, log: Logger) {
    this.#engine = engine;
    this.#options = options;
    this.#send = send;
    this.#log = log;
  }

  /** The engine has become ready. */
  joined(): void {
    if (this.#options.canary) {
      void this.#run();
      return;
    }
    for (const worker of this.#engine.workers) {
      this.#keep(worker, { timeMs: Date.now(), state: 'off', ...diagnose(null, worker.circumstances) });
    }
  }

  /** To be called now and then while the engine is ready. */
  tick(nowMs: number): void {
    if (this.#options.canary && nowMs >= this.#dueMs && this.#engine.inFlight === 0) void this.#run();
  }

  /** Never rejects: a canary that could not be sent has not come back. */
  async #run(): Promise<void> {
    if (this.#underWay) return;
    this.#underWay = true;
    let missed = false;
    // One after the other: behind one address they share a queue.
    for (const worker of this.#engine.workers) {
      const report = await this.#reportOf(worker);
      this.#keep(worker, report);
      missed ||= report.state === 'inconclusive';
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
      this.#log.error({ worker: worker.id, err: error }, 'canary failed by an error of ours');
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
    const line = { worker: worker.id };
    if (report.state === 'inconclusive') {
      this.#log.debug({ ...line, reason: report.reason }, 'canary did not come back');
      return;
    }
    const known = before === null || before.state === 'inconclusive' ? null : before.findings;
    if (known !== null && isSame(known, report.findings)) return;
    for (const { cause, message } of report.findings) this.#log.warn({ ...line, cause }, message);
    if (report.state === 'sound')
      this.#log.info({ ...line, proofs: report.proofs }, 'canary came back: worker is sound');
  }
}

function isSame(some: readonly Finding[], others: readonly Finding[]): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}
