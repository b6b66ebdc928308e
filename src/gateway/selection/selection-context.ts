// What the selection service uses of the gateway.

import type { BodyBudget } from '../exchange/body-budget.ts';
import type { InferenceContext } from '../inference/inference-context.ts';

export interface SelectionContext extends InferenceContext {
  readonly bodyBudget: BodyBudget;
}
