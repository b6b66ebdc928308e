// Step times of Dynamo's mocker: prefill quadratic in the tokens of a step, decode concave in the used KV.

import type { StepTime } from './step-time.ts';

/**
 * Source: ai-dynamo/dynamo, `lib/mocker/src/common/perf_model.rs`, the polynomial model (the default). n: prompt tokens
 * of the step; u: context tokens of the decoding sequences / KV capacity, at most 1. A step costs prefill + decode:
 *   prefill = 4.209989e-7 n^2 + 1.518344e-2 n + 16.50142 ms, 0 without prompt tokens
 *   decode  = max(1, -25.74 u^2 + 54.01 u + 5.74) ms, 0 without decoding sequences
 * The number of decoding sequences does not matter.
 */
export function dynamoStepTime(kvTokens: number): StepTime {
  return ({ prefillTokens: n, decodeContextTokens }) => {
    const prefillMs = n === 0 ? 0 : 4.209989e-7 * n * n + 1.518344e-2 * n + 16.50142;
    if (decodeContextTokens === 0) return Math.max(1, prefillMs);
    const u = Math.min(1, decodeContextTokens / kvTokens);
    return prefillMs + Math.max(1, -25.74 * u * u + 54.01 * u + 5.74);
  };
}
