// What a request takes of its client's limits and shares, from its admission to its end.

/** The tenant that a request waits for, and its share relative to others. */
export interface TenantShare {
  readonly tenant: string;
  readonly weight: number;
}

export interface ClientUse extends TenantShare {
  /** Name of the API key; null: there is none. */
  readonly key: string | null;
  /** Whether tokens are limited, so that they must be reserved. */
  readonly limitsTokens: boolean;
  /** Reserves tokens until the end of the request; later calls do nothing. @throws LimitReached 429 */
  reserve(tokens: number): void;
  /** Counts the tokens of an attempt. `cached`: those of the prompt that the engine had; null: unknown. */
  used(tokens: { readonly prompt: number; readonly cached: number | null; readonly output: number }): void;
  /** `x-ratelimit-*` headers as names and values; none without a limit. */
  headers(): readonly string[];
}

/** The use of work that is no HTTP request itself. */
export interface WorkUse extends ClientUse {
  /** Ends what is reserved. Later calls do nothing. */
  end(): void;
}
