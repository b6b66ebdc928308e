// The state that a gateway's request handlers share.

import type { Engine } from '../engines/engine.ts';
import type { AnswerDeadlines } from '../exchange/answer-deadlines.ts';
import type { BodyBudget } from '../exchange/body-budget.ts';
import type { TurnSlices } from '../exchange/turn-slices.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { InferenceContext } from '../inference/inference-context.ts';
import type { Peers } from '../peers/peers.ts';
import type { Selection } from '../selection/selection.ts';
import type { MetricsText } from '../telemetry/metrics-text.ts';
import type { Tracing } from '../tracing/collector.ts';
import type { AcceptHold } from './accept-hold.ts';
import type { Access } from './access.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { KeyLimits } from './key-limits.ts';
import type { PageAssets } from './page-assets.ts';

export interface GatewayContext extends InferenceContext {
  /** Always the same array, kept up to date. */
  readonly engines: readonly Engine[];
  readonly fleet: Fleet;
  readonly access: Access;
  readonly keyLimits: KeyLimits;
  /** Null: there are no other replicas. */
  readonly peers: Peers | null;
  /** Null: no traces are sent. */
  readonly tracing: Tracing | null;
  readonly deadlines: AnswerDeadlines;
  /** The gateway has been told to stop: requests in flight finish, readiness is off. */
  readonly stopping: boolean;
  readonly bodyBudget: BodyBudget;
  /** Of answers that are made in turns: what operators ask for, and long answers of the selection service. */
  readonly answerSlices: TurnSlices;
  readonly metricsText: MetricsText;
  /** Slots of the clients' listener. */
  readonly slots: ConnectionSlots;
  readonly acceptHold: AcceptHold;
  readonly pageAssets: PageAssets;
  /** False: requests of clients are not relayed to engines. */
  readonly relays: boolean;
  /** Null: its routes are off. */
  readonly selection: Selection | null;
}
