// One request of a generated workload, with its prompt as text.

export interface TextRequest {
  readonly arrivalMs: number;
  readonly prompt: string;
  /** Exact tokens of `prompt`. */
  readonly isl: number;
  readonly maxTokens: number;
  /** Requests of one group share a prefix. */
  readonly group: number;
}
