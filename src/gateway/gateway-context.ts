// What the request handlers of one gateway share.

import type { Logger } from 'pino';
import type { BlockHasher } from '../core/index.ts';
import type { Access } from './access.ts';
import type { AnswerDeadlines } from './answer-deadlines.ts';
import type { GatewayConfig } from './config.ts';
import type { DecisionLog } from './decision-log.ts';
import type { Engine } from './engine.ts';
import type { EngineMonitor } from './engine-monitor.ts';
import type { Fleet } from './fleet.ts';
import type { GatewayMetrics } from './gateway-metrics.ts';
import type { KeyLimits } from './key-limits.ts';
import type { Pools } from './pools.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { TokenizerFailures } from './tokenizer-failures.ts';
import type { TrafficRecorder } from './traffic-recorder.ts';
import type { TurnSlices } from './turn-slices.ts';

export interface GatewayContext {
  /** As of the last reload: not to be kept. */
  readonly config: GatewayConfig;
  readonly hasher: BlockHasher;
  readonly pools: Pools;
  /** The engines as they are now: always the same array. */
  readonly engines: readonly Engine[];
  readonly monitors: ReadonlyMap<Engine, EngineMonitor>;
  readonly fleet: Fleet;
  readonly access: Access;
  readonly keyLimits: KeyLimits;
  readonly deadlines: AnswerDeadlines;
  /** Told to stop: what is under way ends, nothing new is wanted. */
  readonly stopping: boolean;
  /** In which requests are read and routed. */
  readonly intakeSlices: TurnSlices;
  readonly retryBudget: RetryBudget;
  readonly tokenizerFailures: TokenizerFailures;
  readonly metrics: GatewayMetrics;
  readonly decisions: DecisionLog;
  /** Null: nothing is recorded. */
  readonly recorder: TrafficRecorder | null;
  readonly log: Logger;
}
