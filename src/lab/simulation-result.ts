// Result, observers and limits of a simulation.

import type { Decision } from '../core/choice/decision.ts';
import type { Router } from '../core/router.ts';
import type { WorkerIndex } from '../core/types.ts';
import type { Engine, EngineStep } from '../sim/index.ts';
import type { LoadSeries } from './load-series.ts';
import type { RequestLog } from './request-log.ts';
import type { SharingFigures } from './router-network.ts';

/** Observers of a simulation. */
export interface SimulationWatch {
  onDecision?(request: number, decision: Decision, nowNs: number): void;
  /** Called at the end of the step, before it is applied. The engine reuses `step`. */
  onStep?(worker: WorkerIndex, step: EngineStep, engine: Engine, nowNs: number): void;
}

export interface SimulationLimits {
  /** The run stops once more measured requests than this have missed the SLO, since it has failed then. */
  readonly missesMax?: number;
}

export interface SimulationResult {
  readonly log: RequestLog;
  readonly load: LoadSeries;
  readonly engines: readonly Engine[];
  /** The first router. */
  readonly router: Router;
  /** Null: one router, or routers that share nothing. */
  readonly sharing: SharingFigures | null;
  /** End time of the last step. */
  readonly endNs: number;
  /** Whether more than `missesMax` requests missed the SLO. */
  readonly stoppedEarly: boolean;
}
