// What the log says of changes in an engine's health.

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

  /** @param error of ours, with a fault */
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
        this.#log.warn({ reason, restMs: change.restMs }, 'engine out');
        return;
      case 'unfit':
        this.#log.error({ reason }, 'engine refused');
        return;
      case 'fault':
        this.#log.error({ err: error, restMs: change.restMs }, 'engine out: internal error');
        return;
      case 'other-models':
        this.#log.warn({ reason }, 'engine serves other models: it joins anew');
        return;
      case 'stalled':
        this.#log.warn({ reason: silentFor(health.silenceMs), requestsInFlight: calls.count }, 'engine stalled');
        return;
      case 'heard':
        this.#log.info('engine heard again');
        return;
      case 'failed':
      case 'cut':
    }
  }
}
