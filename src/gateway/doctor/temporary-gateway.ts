// A gateway that joins engines only to look at them, and serves nobody.

import type { GatewayOptions } from '../config/config.ts';
import type { SettingName } from '../config/settings.ts';
import type { FeedSource } from '../engines/announced-feeds.ts';
import type { CanaryReport } from '../engines/canary-report.ts';
import type { FeedStatus } from '../feeds/feed-status.ts';
import { startGateway } from '../gateway.ts';
import { until } from '../until.ts';

/** The fields of `GET /workers` that are used here; those behind `rank` only once the engine has joined. */
export interface WorkerEntry {
  readonly id: string | null;
  readonly url: string;
  readonly state: string;
  readonly reason: string | null;
  readonly models: readonly string[];
  readonly remarks: readonly string[];
  readonly rank?: number;
  readonly canary?: CanaryReport | null;
  readonly eventsOffered?: FeedSource | null;
  readonly feed?: FeedStatus | null;
  readonly blockSize?: number;
  readonly blockSizeFrom?: 'setting' | 'engine' | 'events' | 'assumed';
  readonly capacityBlocks?: number;
}

/** All other settings, such as keys, files that are written and other replicas, are of no concern to engines. */
const aboutEngines = [
  ...(['workers', 'workersFile', 'dnsIntervalMs', 'allowLinkLocal', 'workerCaFile', 'workerCertFile'] as const),
  ...(['workerKeyFile', 'tokenizer', 'tokenizeMsMax', 'trustTokenizer', 'blockSize', 'kvPublishers'] as const),
  ...(['defaultCapacityBlocks', 'probeIntervalMs', 'canary', 'canaryIntervalMs', 'pools'] as const),
] satisfies readonly SettingName[];

/**
 * The workers once they are settled, or when the time is over.
 * @param options as for a gateway; only those about engines and tokens are used
 * @throws ConfigError, TokenizerError
 */
export async function workersOf(
  options: GatewayOptions,
  isSettled: (workers: readonly WorkerEntry[]) => boolean,
  timeoutMs: number,
): Promise<WorkerEntry[]> {
  const gateway = await startGateway({
    ...Object.fromEntries(aboutEngines.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]))),
    // Nobody else may use this gateway.
    ...{ logLevel: 'silent', host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 },
    ...{ shutdownNoticeMs: 0, shutdownGraceMs: 0 },
  });
  try {
    let workers: WorkerEntry[] = [];
    await until(async () => {
      const answer = await fetch(`${gateway.adminUrl}/workers`);
      ({ workers } = (await answer.json()) as { workers: WorkerEntry[] });
      return isSettled(workers);
    }, timeoutMs);
    return workers;
  } finally {
    await gateway.close();
  }
}
