// Metrics of streams that broke off while their pool may let another engine go on with them.

import { Counter, type Registry } from 'prom-client';

/**
 * What became of a stream that broke off. `continued`: another engine went on. `completed`: only its end was missing.
 * `refused`: engines refused to go on. `no_worker`: none could take it. `failed`: the engines that were asked failed.
 * `not_continuable`: none was asked. `gone`: its client left.
 */
export type ContinuationOutcome =
  | 'continued'
  | 'completed'
  | 'refused'
  | 'no_worker'
  | 'failed'
  | 'not_continuable'
  | 'gone';

export class ContinuationMetrics {
  readonly #interruptions: Counter<'outcome' | 'reason'>;

  constructor(registry: Registry) {
    this.#interruptions = new Counter({
      name: 'kvoyant_interrupted_streams_total',
      help: 'Streams that broke off while the setting continue is on, by what became of them and, if they could not be continued, why.',
      labelNames: ['outcome', 'reason'],
      registers: [registry],
    });
  }

  /** @param reason why it is not continuable; one of a fixed set of words */
  ended(outcome: ContinuationOutcome, reason = ''): void {
    this.#interruptions.inc({ outcome, reason });
  }
}
