// What the request handlers of one gateway share.

import type { Engine } from '../engines/engine.ts';
import type { AnswerDeadlines } from '../exchange/answer-deadlines.ts';
import type { BodyBudget } from '../exchange/body-budget.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { InferenceContext } from '../inference/inference-context.ts';
import type { AcceptHold } from './accept-hold.ts';
import type { Access } from './access.ts';
import type { ConnectionSlots } from './connection-slots.ts';
import type { KeyLimits } from './key-limits.ts';

export interface GatewayContext extends InferenceContext {
  /** The engines as they are now: always the same array. */
  readonly engines: readonly Engine[];
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
}
