// Step times of H100 engines, from the constants of the card and the model.

import type { StepLoad, StepTime } from './step-time.ts';

/** A model in bf16, its layers split evenly over the cards of one engine. */
interface ServedModel {
  readonly cards: number;
  readonly layers: number;
  /** Bytes read once per step, lm_head included. */
  readonly weightBytes: number;
  readonly linearFlopPerToken: number;
  readonly attentionFlopPerPair: number;
  readonly kvBytesPerToken: number;
}

/** H100 SXM: memory bandwidth and dense bf16 peak of NVIDIA's data sheet. */
const bytesPerS = 3.35e12;
const flopPerS = 989e12;

/**
 * Constants of BLIS (inference-sim), which was fitted to traces of vLLM on H100: weights are read in 1.3625 x, contexts
 * in 1.947 x the ideal time; 32.1 us per layer, 4.42 us per request and 126 us per step. Prefill runs at 0.65 of the
 * peak (BLIS's MFU), and reading of weights overlaps with compute as in the analytic L40S profile.
 */
const weightsFactor = 1.3625;
const contextFactor = 1.947;
const layerMs = 0.0321;
const requestMs = 0.00442;
const fixedMs = 0.126;
const prefillMfu = 0.65;
const overlapExponent = 1.6;

function h100StepTime(model: ServedModel): StepTime {
  const msPerByte = 1e3 / (bytesPerS * model.cards);
  const msPerFlop = 1e3 / (prefillMfu * flopPerS * model.cards);
  const weightsMs = weightsFactor * model.weightBytes * msPerByte;
  const tokenMs = model.linearFlopPerToken * msPerFlop;
  const pairMs = model.attentionFlopPerPair * msPerFlop;
  const contextMs = contextFactor * model.kvBytesPerToken * msPerByte;
  const stepMs = layerMs * model.layers + fixedMs;
  return (load: Readonly<StepLoad>) => {
    const computeMs = tokenMs * load.tokens;
    const overlappedMs = (weightsMs ** overlapExponent + computeMs ** overlapExponent) ** (1 / overlapExponent);
    return (
      stepMs +
      requestMs * load.sequences +
      overlappedMs +
      pairMs * load.prefillPairs +
      contextMs * load.decodeContextTokens
    );
  };
}

/** Llama-3.1-8B on one H100: 32 layers, 8.03e9 parameters, 13.96 GFLOP a token. */
export const h100Llama8b: StepTime = h100StepTime({
  cards: 1,
  layers: 32,
  weightBytes: 15.009e9,
  linearFlopPerToken: 13.96e9,
  attentionFlopPerPair: 524_288,
  kvBytesPerToken: 131_072,
});

/**
 * Qwen3-32B on two H100 by tensor parallelism: 64 layers of 64 heads of 128, 8 KV heads, 32.8e9 parameters, of which
 * 31.2e9 are not embeddings. The prefill rate without attention is 20,600 tokens/s; llm-d publishes 20,480 for this pair
 * (and 15,928 in its recipe).
 */
export const h100Qwen32bTp2: StepTime = h100StepTime({
  cards: 2,
  layers: 64,
  weightBytes: 64e9,
  linearFlopPerToken: 62.4e9,
  attentionFlopPerPair: 4 * 64 * 128 * 64,
  kvBytesPerToken: 2 * 8 * 128 * 64 * 2,
});
