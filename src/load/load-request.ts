// A request of a workload, as the load client sends it.

export interface LoadRequest {
  /** Position in the workload. */
  readonly index: number;
  /** From the start of the run. Closed loops ignore it. */
  readonly arrivalMs: number;
  /** `/v1/completions` or `/v1/chat/completions`. */
  readonly path: string;
  /** JSON; asks for a stream with usage (see `completionBody`). */
  readonly body: string;
}

/** A streaming completion of exactly `maxTokens` tokens that reports its usage at the end. */
export function completionBody(model: string, prompt: string, maxTokens: number): string {
  return JSON.stringify({
    model,
    prompt,
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true },
  });
}
