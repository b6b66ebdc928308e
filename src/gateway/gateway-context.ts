// What the request handlers of one gateway share.

import type { Logger } from 'pino';
import type { BlockHasher } from '../core/index.ts';
import type { GatewayConfig } from './config/config.ts';
import type { Engine } from './engines/engine.ts';
import type { EngineMonitor } from './engines/engine-monitor.ts';
import type { Fleet } from './engines/fleet.ts';
import type { AcceptHold } from './http/accept-hold.ts';
import type { Access } from './http/access.ts';
import type { AnswerDeadlines } from './http/answer-deadlines.ts';
import type { BodyBudget } from './http/body-budget.ts';
import type { ConnectionSlots } from './http/connection-slots.ts';
import type { KeyLimits } from './http/key-limits.ts';
import type { TurnSlices } from './http/turn-slices.ts';
import type { RetryBudget } from './inference/retry-budget.ts';
import type { Pools } from './pools/pools.ts';
import type { TokenizerFailures } from './prompts/tokenizer-failures.ts';
import type { DecisionLog } from './telemetry/decision-log.ts';
import type { GatewayMetrics } from './telemetry/gateway-metrics.ts';
import type { TrafficRecorder } from './telemetry/traffic-recorder.ts';

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
  readonly bodyBudget: BodyBudget;
  /** Of the clients' listener. */
  readonly slots: ConnectionSlots;
  readonly acceptHold: AcceptHold;
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
