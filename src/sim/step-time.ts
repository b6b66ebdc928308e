// Duration of one engine step as a function of its batch: an L40S with Llama-3.1-8B.

/** What one step computes. */
export interface StepLoad {
  /** All tokens of the step, prefill and decode. */
  tokens: number;
  /** Prompt tokens, including those that a preempted sequence recomputes. */
  prefillTokens: number;
  /** Sum over prefill chunks of n x start + n (n + 1) / 2: (token, context) pairs that attention visits. */
  prefillPairs: number;
  /** Sum of the context lengths of the decoding sequences. */
  decodeContextTokens: number;
  /** Sequences in the batch. */
  sequences: number;
  /** Sequences that sample at the end of the step. */
  sampled: number;
}

/** The load of a step that does nothing. */
export function emptyStep(): StepLoad {
  return { tokens: 0, prefillTokens: 0, prefillPairs: 0, decodeContextTokens: 0, sequences: 0, sampled: 0 };
}

/** Milliseconds of a step. Must not keep the load, which the engine reuses. */
export type StepTime = (load: Readonly<StepLoad>) => number;

// Llama-3.1-8B in bf16: attention FLOP per (token, context) pair; KV bytes per token.
const attentionFlopPerPair = 524_288;
const kvBytesPerToken = 131_072;

/**
 * L40S with Llama-3.1-8B, fitted to published operator tables of that card (ai-dynamo/aiconfigurator, vLLM 0.24.0):
 * matrix products by batch tokens, attention of prefill at 180 TFLOPS, reading of decode contexts at 680 GB/s, 3 ms
 * fixed cost.
 */
export function l40sLlama8b(load: Readonly<StepLoad>): number {
  // The fit counts n x (start + n / 2) pairs per chunk.
  const pairs = load.prefillPairs - load.prefillTokens / 2;
  const attentionMs = (pairs * attentionFlopPerPair) / 180e9;
  const kvMs = (load.decodeContextTokens * kvBytesPerToken) / 680e6;
  return gemmMs(load.tokens) + attentionMs + kvMs + 3;
}

/**
 * Linear up to 256 tokens (reading the weights dominates), proportional from 1,024 on (compute-bound), interpolated
 * between.
 */
function gemmMs(tokens: number): number {
  if (tokens <= 256) return 19 + 0.026 * tokens;
  if (tokens >= 1024) return 0.0595 * tokens;
  const [fromTokens, fromMs, toTokens, toMs] = tokens <= 512 ? [256, 25.656, 512, 30.8] : [512, 30.8, 1024, 60.928];
  return fromMs + ((toMs - fromMs) * (tokens - fromTokens)) / (toTokens - fromTokens);
}

/**
 * The same card and model from first principles: weights and KV read at 77 % of 864 GB/s, compute at 190 TFLOPS,
 * the two overlapping as measured on a sister card (exponent 1.6).
 */
export function l40sLlama8bAnalytic(load: Readonly<StepLoad>): number {
  const weightsMs = 15.009e12 / (0.77 * 864e9);
  const computeMs = (13.96e12 * load.tokens + 1.05e12 * load.sampled) / 190e12;
  const kvMs = (kvBytesPerToken * 1e3 * load.decodeContextTokens) / (0.77 * 864e9);
  const attentionMs = (attentionFlopPerPair * load.prefillPairs) / 190e9;
  const overlappedMs = (weightsMs ** 1.6 + computeMs ** 1.6) ** (1 / 1.6);
  return 2 + 0.01 * load.sequences + overlappedMs + kvMs + attentionMs;
}

/** The same duration for every step. For tests that are not about speed. */
export function constantStepTime(stepMs: number): StepTime {
  return () => stepMs;
}
