// What the page is told of another policy over the recorded traffic.

export interface WhatIfRequest {
  readonly policy: string;
  /** Of the recording, up to now; 1 to 60. */
  readonly minutes: number;
}

/** `off`: there is no recording, and `howTo` says how to start one. */
export type WhatIf =
  | { readonly kind: 'off'; readonly howTo: string }
  | { readonly kind: 'idle'; readonly policies: readonly string[]; readonly minutesMax: number }
  | {
      readonly kind: 'running';
      readonly request: WhatIfRequest;
      readonly startedMs: number;
      readonly policies: readonly string[];
      readonly minutesMax: number;
    }
  | {
      readonly kind: 'done';
      readonly result: WhatIfResult;
      readonly policies: readonly string[];
      readonly minutesMax: number;
    }
  | {
      readonly kind: 'failed';
      readonly request: WhatIfRequest;
      readonly message: string;
      readonly policies: readonly string[];
      readonly minutesMax: number;
    };

export interface WhatIfResult {
  readonly request: WhatIfRequest;
  readonly fromMs: number;
  readonly toMs: number;
  readonly requests: number;
  /** One sentence that says the finding, with its deciding figure. */
  readonly verdict: string;
  /** What happened, by the gateway's own figures of that time. */
  readonly happened: WhatIfFigures;
  /** The policy in force, in the lab's engines. Compare `asked` with this one. */
  readonly baseline: WhatIfFigures;
  /** The policy asked for, in the same engines. */
  readonly asked: WhatIfFigures;
  /** What to know before believing it. */
  readonly notes: readonly string[];
  readonly tookMs: number;
}

export interface WhatIfFigures {
  readonly label: string;
  readonly policy: string;
  readonly requests: number;
  readonly ttftMeanMs: number | null;
  readonly ttftP50Ms: number | null;
  readonly ttftP90Ms: number | null;
  readonly ttftP99Ms: number | null;
  /** Cached over prompt tokens. */
  readonly prefixHitRate: number | null;
  /** Prefill tokens of the busiest worker over the mean. */
  readonly imbalance: number | null;
}
