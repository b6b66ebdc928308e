// Usage: the tokens of each answered attempt, by tenant, key and model, for the metrics and the file for billing.

import type { UsageEntry } from './usage-entry.ts';
import type { UsageFile } from './usage-file.ts';
import type { UsageMetrics } from './usage-metrics.ts';

export class UsageLedger {
  readonly #metrics: UsageMetrics;
  /** Null before the file is open, or if there is none. */
  file: UsageFile | null = null;

  constructor(metrics: UsageMetrics) {
    this.#metrics = metrics;
  }

  /** Never throws and never waits. */
  add(entry: UsageEntry): void {
    this.#metrics.add(entry);
    this.file?.add(entry);
  }
}
