// What the selection service uses of the gateway.

import type { GatewayConfig } from '../config/config.ts';
import type { ClientKey } from '../config/tenants.ts';
import type { BodyBudget } from '../exchange/body-budget.ts';
import type { WorkUse } from '../exchange/client-use.ts';
import type { InferenceContext } from '../inference/inference-context.ts';

export interface SelectionContext extends InferenceContext {
  readonly bodyBudget: BodyBudget;
  readonly access: {
    /** Whether at most one API key may use the selection service. */
    readonly isSoleSelector: boolean;
  };
  /** Limits of API keys and tenants. */
  readonly keyLimits: {
    /** @throws LimitReached 429 if there are no tokens left */
    tokensOf(key: ClientKey | null, settings: GatewayConfig, nowMs: number): WorkUse;
  };
}
