// Prometheus metrics of a simulated engine, with vLLM's names and labels.

import type { Engine } from '../sim/index.ts';

export interface MetricsInput {
  readonly model: string;
  readonly engine: Engine;
  readonly blockSize: number;
  /** Blocks, the null block included, as engines count them. */
  readonly blocks: number;
  readonly rejected: number;
  readonly lateMs: number;
}

type Labels = Readonly<Record<string, string | number>>;

export function metricsText(input: MetricsInput): string {
  const { engine, model, blocks, blockSize } = input;
  const { counters } = engine;
  const common: Labels = { engine: '0', model_name: model };
  const page = new MetricsPage();
  page.metric('vllm:num_requests_running', 'gauge').sample(common, engine.runningCount);
  page.metric('vllm:num_requests_waiting', 'gauge').sample(common, engine.waitingCount);
  page.metric('vllm:kv_cache_usage_perc', 'gauge').sample(common, engine.kvUsage);
  page.metric('vllm:prefix_cache_queries_total', 'counter').sample(common, counters.queriedTokens);
  page.metric('vllm:prefix_cache_hits_total', 'counter').sample(common, counters.hitTokens);
  page.metric('vllm:num_preemptions_total', 'counter').sample(common, counters.preemptions);
  page.metric('vllm:prompt_tokens_total', 'counter').sample(common, counters.promptTokens);
  page
    .metric('vllm:prompt_tokens_by_source_total', 'counter')
    .sample({ ...common, source: 'local_compute' }, counters.promptTokens - counters.cachedPromptTokens)
    .sample({ ...common, source: 'local_cache_hit' }, counters.cachedPromptTokens)
    .sample({ ...common, source: 'external_kv_transfer' }, 0);
  page.metric('vllm:prompt_tokens_cached_total', 'counter').sample(common, counters.cachedPromptTokens);
  page.metric('vllm:generation_tokens_total', 'counter').sample(common, counters.outputTokens);
  page
    .metric('vllm:request_success_total', 'counter')
    .sample({ ...common, finished_reason: 'stop' }, counters.finished.stop)
    .sample({ ...common, finished_reason: 'length' }, counters.finished.length)
    .sample({ ...common, finished_reason: 'abort' }, 0)
    .sample({ ...common, finished_reason: 'error' }, 0);
  page
    .metric('vllm:admission_rejections_total', 'counter')
    .sample({ model_name: model, reason: 'max_num_queued_reqs' }, input.rejected);
  page.metric('vllm:cache_config_info', 'gauge').sample(
    {
      block_size: blockSize,
      cache_dtype: 'auto',
      enable_prefix_caching: 'True',
      engine: '0',
      gpu_memory_utilization: '0.9',
      kv_cache_size_tokens: blocks * blockSize,
      num_gpu_blocks: blocks,
      prefix_caching_hash_algo: 'sha256_cbor',
    },
    1,
  );
  // Metrics that real engines do not have: work done, not requests served.
  page.metric('kvoyant_sim:prefill_tokens_total', 'counter').sample(common, counters.prefillTokens);
  page.metric('kvoyant_sim:steps_total', 'counter').sample(common, counters.steps);
  page.metric('kvoyant_sim:busy_seconds_total', 'counter').sample(common, counters.busyNs / 1e9);
  page.metric('kvoyant_sim:steps_late_seconds_total', 'counter').sample(common, input.lateMs / 1000);
  page.metric('kvoyant_sim:aborted_requests_total', 'counter').sample(common, counters.aborted);
  return page.text();
}

class MetricsPage {
  #text = '';
  #name = '';

  metric(name: string, type: 'gauge' | 'counter'): this {
    this.#name = name;
    this.#text += `# TYPE ${name} ${type}\n`;
    return this;
  }

  sample(labels: Labels, value: number): this {
    const list = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(String(text))}`);
    this.#text += `${this.#name}{${list.join(',')}} ${value}\n`;
    return this;
  }

  text(): string {
    return this.#text;
  }
}
