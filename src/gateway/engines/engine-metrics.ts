// Parses an engine's metrics for the facts about its cache, in one pass over the text.

import { blockSizeMax } from '../../wire/kv-events-decode.ts';
import { capacityBlocksMax, labelsLengthMax } from './engine-limits.ts';
import { linesMax } from './metrics-lines.ts';
import { quoted, Remarks } from './remarks.ts';

export interface CacheConfig {
  /** Data-parallel rank. */
  readonly rank: number;
  readonly blockSize: number | null;
  /** In blocks of `blockSize`. */
  readonly capacityBlocks: number | null;
  readonly prefixCaching: boolean | null;
}

const cacheMetric = 'vllm:cache_config_info';
/** Lines of other metrics are dropped as they arrive: a metric that is read below must be named here. */
export const cacheMetrics: readonly string[] = [cacheMetric];
export const hitsMetrics: readonly string[] = ['vllm:prefix_cache_hits_total', 'vllm:prefix_cache_hits'];

/**
 * vLLM's `cache_config_info`. Its counts of blocks and tokens include one block that never holds content. The token
 * count takes precedence: in models with several groups of layers `num_gpu_blocks` counts other blocks.
 */
export function readCacheConfigs(metrics: string, remarks: Remarks = new Remarks()): CacheConfig[] {
  const configs: CacheConfig[] = [];
  for (const { labels } of linesOf(metrics, cacheMetric, remarks)) {
    const number = (name: string, min: number, max: number): number | null => {
      const value = numberLabel(labels, name, min, max);
      if (value !== 'unfit') return value;
      remarks.add(`its metrics say ${name}=${quoted(label(labels, name))}: ${min} to ${max} can be used`);
      return null;
    };
    const blockSize = number('block_size', 1, blockSizeMax);
    const tokens = blockSize === null ? null : number('kv_cache_size_tokens', 1, blockSize * capacityBlocksMax);
    const blocks = tokens === null ? number('num_gpu_blocks', 0, capacityBlocksMax) : Math.floor(tokens / blockSize!);
    configs.push({
      rank: rankOf(labels),
      blockSize,
      capacityBlocks: blocks === null || blocks < 2 ? null : blocks - 1,
      prefixCaching: flagLabel(labels, 'enable_prefix_caching'),
    });
  }
  return configs;
}

/** vLLM's counter of cache hits of one rank, in tokens; null: absent or invalid. */
export function readPrefixCacheHits(metrics: string, rank: number): number | null {
  for (const name of hitsMetrics) {
    for (const { labels, value } of linesOf(metrics, name)) {
      const hits = Number(value);
      if (rankOf(labels) === rank) return Number.isFinite(hits) && hits >= 0 ? hits : null;
    }
  }
  return null;
}

/** Lines `NAME{LABELS} VALUE`. O(text) */
function* linesOf(
  metrics: string,
  name: string,
  remarks: Remarks = new Remarks(),
): Generator<{ readonly labels: string; readonly value: string }> {
  const start = `${name}{`;
  let lines = 0;
  for (let at = metrics.indexOf(start); at !== -1; at = metrics.indexOf(start, at + 1)) {
    if (at > 0 && metrics[at - 1] !== '\n') continue;
    const end = metrics.indexOf('\n', at);
    const line = metrics.slice(at + start.length, end === -1 ? undefined : end);
    const close = line.lastIndexOf('}');
    if (line.length > labelsLengthMax)
      remarks.add(`its metrics have a line of more than ${labelsLengthMax} characters, which is ignored`);
    else if (close !== -1)
      yield {
        labels: line.slice(0, close),
        value: line
          .slice(close + 1)
          .trim()
          .split(' ', 1)[0]!,
      };
    lines += 1;
    if (lines >= linesMax) return;
  }
}

/** 0 without the label; an invalid rank becomes one above every limit. */
function rankOf(labels: string): number {
  const rank = numberLabel(labels, 'engine', 0, Number.MAX_SAFE_INTEGER);
  return rank === 'unfit' ? Number.MAX_SAFE_INTEGER : (rank ?? 0);
}

/** Null: absent or Python's None. */
function numberLabel(labels: string, name: string, min: number, max: number): number | null | 'unfit' {
  const text = label(labels, name);
  if (text === null || text === 'None' || text === '') return null;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : 'unfit';
}

/** Python's True or False. */
function flagLabel(labels: string, name: string): boolean | null {
  const text = label(labels, name);
  return text === 'True' || text === 'False' ? text === 'True' : null;
}

function label(labels: string, name: string): string | null {
  const start = `${name}="`;
  for (let at = labels.indexOf(start); at !== -1; at = labels.indexOf(start, at + 1)) {
    if (at > 0 && labels[at - 1] !== ',') continue;
    const end = labels.indexOf('"', at + start.length);
    return end === -1 ? null : labels.slice(at + start.length, end);
  }
  return null;
}
