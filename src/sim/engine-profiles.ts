// Engine profiles by name: step times of a card and a model, with the engine's usual settings.

import { dynamoStepTime } from './dynamo-step-time.ts';
import { h100Llama8b, h100Qwen32bTp2 } from './h100-step-time.ts';
import { type Speculation, speculativeStepTime } from './speculation.ts';
import { constantStepTime, l40sLlama8b, l40sLlama8bAnalytic, type StepTime } from './step-time.ts';

export interface EngineProfile {
  /** @param kvTokens KV capacity of the engine */
  stepTimeFor(kvTokens: number): StepTime;
  /** Usual KV capacity, in tokens. */
  readonly kvTokens: number;
  readonly kvBytesPerToken: number;
  /** Memory of the engine's cards. */
  readonly memoryGb: number;
  /** vLLM's default on such a card. */
  readonly stepTokensMax: number;
  readonly sequencesMax: number;
  /** Null: one token per step. */
  readonly speculation: Speculation | null;
}

/** vLLM's defaults below 70 GiB; the pool with which the step times were fitted. */
const l40s = { kvTokens: 186_000, kvBytesPerToken: 131_072, memoryGb: 48, stepTokensMax: 2048, sequencesMax: 256 };
/** vLLM's defaults of an API server from 70 GiB on. */
const h100 = { stepTokensMax: 8192, sequencesMax: 1024 };

const plain = (stepTime: StepTime): Pick<EngineProfile, 'stepTimeFor' | 'speculation'> => ({
  stepTimeFor: () => stepTime,
  speculation: null,
});

/**
 * Three drafts, each accepted with probability 0.7 if those before it were: 2.53 tokens a step on average. An
 * assumption, not a measurement. A draft pass reads one of the 32 layers and lm_head: 1.49 GB at 680 GB/s.
 */
const drafts: Speculation = { draftTokens: 3, acceptance: 0.7, draftMs: 2.2 };

export type EngineProfileName =
  | 'l40s-llama8b'
  | 'l40s-llama8b-analytic'
  | 'l40s-llama8b-speculative'
  | 'h100-llama8b'
  | 'h100x2-qwen32b'
  | 'dynamo-poly'
  | 'constant';

export const engineProfiles: Readonly<Record<EngineProfileName, EngineProfile>> = {
  'l40s-llama8b': { ...l40s, ...plain(l40sLlama8b) },
  'l40s-llama8b-analytic': { ...l40s, ...plain(l40sLlama8bAnalytic) },
  'l40s-llama8b-speculative': {
    ...l40s,
    stepTimeFor: () => speculativeStepTime(l40sLlama8b, drafts),
    speculation: drafts,
  },
  // 0.9 x 85.5 GB - 16.06 GB of weights - 3.2 GB for activations and CUDA graphs = 57.7 GB.
  'h100-llama8b': { ...h100, ...plain(h100Llama8b), kvTokens: 440_000, kvBytesPerToken: 131_072, memoryGb: 80 },
  // llm-d publishes 307,328 tokens for this pair.
  'h100x2-qwen32b': { ...h100, ...plain(h100Qwen32bTp2), kvTokens: 307_328, kvBytesPerToken: 262_144, memoryGb: 160 },
  // The mocker's defaults: 16,384 blocks of 64. It names no model.
  'dynamo-poly': {
    stepTimeFor: dynamoStepTime,
    speculation: null,
    kvTokens: 1_048_576,
    kvBytesPerToken: 0,
    memoryGb: Number.POSITIVE_INFINITY,
    stepTokensMax: 8192,
    sequencesMax: 256,
  },
  constant: { ...l40s, ...plain(constantStepTime(25)) },
};

export const engineProfileNames = Object.keys(engineProfiles) as readonly EngineProfileName[];
