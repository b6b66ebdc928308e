// What the request handlers of one gateway share.

import type { Logger } from 'pino';
import type { BlockHasher } from '../core/index.ts';
import type { Tokenizer } from '../tokens/tokenizer.ts';
import type { GatewayConfig } from './config.ts';
import type { DecisionLog } from './decision-log.ts';
import type { Engine } from './engine.ts';
import type { EngineMonitor } from './engine-monitor.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { Pools } from './pools.ts';

export interface GatewayContext {
  readonly config: GatewayConfig;
  readonly tokenizer: Tokenizer | null;
  readonly hasher: BlockHasher;
  readonly pools: Pools;
  readonly engines: readonly Engine[];
  readonly monitors: ReadonlyMap<Engine, EngineMonitor>;
  readonly metrics: GatewayMetrics;
  readonly decisions: DecisionLog;
  readonly log: Logger;
}
