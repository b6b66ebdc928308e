// Usage: the tokens of each answered attempt, by tenant, key and model, for the metrics and the file for billing.

import type { Logger } from 'pino';
import type { GatewayConfig } from '../config/config.ts';
import type { UsageEntry } from './usage-entry.ts';
import { openUsageFile, type UsageFate, type UsageFile } from './usage-file.ts';
import type { UsageMetrics } from './usage-metrics.ts';

export class UsageLedger {
  readonly #metrics: UsageMetrics;
  /** Null before the file is open, or if there is none. */
  #file: UsageFile | null = null;

  constructor(metrics: UsageMetrics) {
    this.#metrics = metrics;
  }

  /** Never throws and never waits. */
  add(entry: UsageEntry): void {
    this.#metrics.add(entry);
    this.#file?.add(entry);
  }

  /** Opens the file, if there shall be one. @throws ConfigError `usageFile` if it can't be used */
  async open(config: Pick<GatewayConfig, 'usageFile' | 'usageBufferBytesMax'>, log: Logger): Promise<void> {
    const onLines = (fate: UsageFate, count: number): void => this.#metrics.lines.inc({ fate }, count);
    this.#file = await openUsageFile(config, { log, onLines });
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
