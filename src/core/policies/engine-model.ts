// Step times of an engine, for policies that predict in milliseconds.

export interface EngineModel {
  /** Most tokens computed in one step (chunked prefill). */
  readonly stepTokensMax: number;
  /** Time of the matrix products of a step with `tokens` tokens. */
  readonly gemmMs: (tokens: number) => number;
  /** Prefill attention of one token over one token of context. */
  readonly attentionMsPerPair: number;
  /** Time to read the KV of one context token of a decoding sequence. */
  readonly kvReadMsPerToken: number;
  /** Fixed time per step. */
  readonly stepOverheadMs: number;
  /** Time that one more decoding sequence adds to the matrix products of a small step. */
  readonly decodeTokenMs: number;
}

/**
 * Llama-3.1-8B on an L40S, fitted to published operator tables of that card (ai-dynamo/aiconfigurator, vLLM 0.24.0):
 * the same constants as the simulated engine's profile `l40s-llama8b`, so predictions look better there than on real
 * engines.
 */
export const l40sLlama8bModel: EngineModel = {
  stepTokensMax: 2048,
  gemmMs: (tokens) => {
    if (tokens <= 256) return 19 + 0.026 * tokens;
    if (tokens <= 512) return 25.656 + ((30.8 - 25.656) * (tokens - 256)) / 256;
    if (tokens < 1024) return 30.8 + ((60.928 - 30.8) * (tokens - 512)) / 512;
    return 0.0595 * tokens;
  },
  // 524,288 FLOP at 180 TFLOPS; 131,072 bytes at 680 GB/s.
  attentionMsPerPair: 524_288 / 180e9,
  kvReadMsPerToken: 131_072 / 680e6,
  stepOverheadMs: 3,
  decodeTokenMs: 0.026,
};
