// Reads the engines' own counters of computed and cached prompt tokens.

import { readEngineMetrics } from './engine-metrics.ts';
import { sumSamples } from './prometheus-text.ts';

/** Counts of one engine since its start, or between two readings. */
export interface PromptTokens {
  readonly computed: number;
  readonly cached: number;
}

const bySource = 'vllm:prompt_tokens_by_source_total';

/** @param url engine URL without path @throws Error naming the engine if it has no such counters */
export async function readPromptTokens(url: string): Promise<PromptTokens> {
  const samples = await readEngineMetrics(url);
  const computed = sumSamples(samples, bySource, { source: 'local_compute' });
  const cached = sumSamples(samples, bySource, { source: 'local_cache_hit' });
  if (computed === null || cached === null) throw new Error(`${url}/metrics has no ${bySource}`);
  return { computed, cached };
}

export function difference(after: PromptTokens, before: PromptTokens): PromptTokens {
  return { computed: after.computed - before.computed, cached: after.cached - before.cached };
}

/** Cached / input tokens, as counted by the engines. 0 without input. */
export function prefixHitRate(engines: readonly PromptTokens[]): number {
  let cached = 0;
  let input = 0;
  for (const engine of engines) {
    cached += engine.cached;
    input += engine.cached + engine.computed;
  }
  return input === 0 ? 0 : cached / input;
}
