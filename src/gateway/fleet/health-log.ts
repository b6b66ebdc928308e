// Logs the changes of an engine's health.

import type { Logger } from 'pino';
import type { Engine } from '../engines/engine.ts';
import type { HealthChange } from '../engines/engine-health.ts';
import { silentFor } from '../engines/health-words.ts';
import { UnreachedLog } from './unreached-log.ts';

export class HealthLog {
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #unreached: UnreachedLog;

  constructor(engine: Engine, log: Logger) {
    this.#engine = engine;
    this.#log = log;
    this.#unreached = new UnreachedLog(log, 'engine not reached');
  }

  /** @param error cause of a `fault` */
  tell(change: HealthChange, nowMs: number, error?: unknown): void {
    const { reason, health, calls } = this.#engine;
    switch (change.kind) {
      case 'joined':
        this.#unreached.reached();
        return;
      case 'suspected':
        this.#log.warn({ reason }, 'engine suspected');
        return;
      case 'lost':
        this.#unreached.lost(reason!, nowMs);
        this.#log.warn({ reason }, 'engine down');
        return;
      case 'dead':
        this.#log.warn({ reason }, 'engine down');
        return;
      case 'unreached':
        this.#unreached.missed(reason!, nowMs);
        return;
      case 'out':
        this.#log.warn({ reason, restMs: change.restMs }, 'engine out of use after failures');
        return;
      case 'unfit':
        this.#log.error({ reason }, 'engine refused');
        return;
      case 'fault':
        this.#log.error({ err: error, restMs: change.restMs }, 'engine out of use: internal error');
        return;
      case 'other-models':
        this.#log.warn({ reason }, 'engine serves none of its earlier models: it joins again');
        return;
      case 'stalled':
        this.#log.warn({ reason: silentFor(health.silenceMs), requestsInFlight: calls.count }, 'engine stalled');
        return;
      case 'heard':
        this.#log.info('engine no longer stalled');
        return;
      case 'failed':
      case 'cut':
    }
  }
}
