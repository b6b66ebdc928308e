// The gateway's parts that inference requests use.

import type { Logger } from 'pino';
import type { BlockHasher } from '../../core/index.ts';
import type { GatewayConfig } from '../config/config.ts';
import type { Engine } from '../engines/engine.ts';
import type { AnswerBudget } from '../exchange/answer-budget.ts';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import type { EngineMonitor } from '../fleet/engine-monitor.ts';
import type { Page } from '../page/page.ts';
import type { Pools } from '../pools/pools.ts';
import type { TokenizerFailures } from '../prompts/tokenizer-failures.ts';
import type { DecisionLog } from '../telemetry/decision-log.ts';
import type { GatewayMetrics } from '../telemetry/gateway-metrics.ts';
import type { TrafficRecorder } from '../telemetry/traffic-recorder.ts';
import type { UsageLedger } from '../telemetry/usage-ledger.ts';
import type { ReadingThread } from './reading-thread.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { ShadowSlots } from './shadow-slots.ts';

export interface InferenceContext {
  /** As of the last reload; do not keep a reference. */
  readonly config: GatewayConfig;
  readonly hasher: BlockHasher;
  readonly pools: Pools;
  readonly monitors: ReadonlyMap<Engine, EngineMonitor>;
  /** Spreads the reading and routing of requests over turns of the event loop. */
  readonly intakeSlices: TurnSlices;
  /** Reads large bodies. */
  readonly readingThread: ReadingThread;
  /** Memory for buffered parts of answers. */
  readonly answerBudget: AnswerBudget;
  readonly retryBudget: RetryBudget;
  readonly shadows: ShadowSlots;
  readonly tokenizerFailures: TokenizerFailures;
  readonly metrics: GatewayMetrics;
  readonly decisions: DecisionLog;
  readonly page: Page;
  /** Null if traffic is not recorded. */
  readonly recorder: TrafficRecorder | null;
  readonly usage: UsageLedger;
  readonly log: Logger;
}
