import { describe, expect, it } from 'vitest';
import { readCacheConfigs } from '../../../src/gateway/engines/engine-metrics.ts';

describe('readCacheConfigs', () => {
  it("reads vLLM's gauge for every rank, minus the null block", () => {
    const metrics = [
      '# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig',
      'vllm:cache_config_info{_block_size_resolved="True",block_size="32",enable_prefix_caching="True",engine="0",num_cpu_blocks="None",num_gpu_blocks="200"} 1.0',
      'vllm:cache_config_info{num_gpu_blocks="None",engine="1",block_size="16"} 1.0',
      'vllm:num_requests_running{engine="0"} 0.0',
      'vllm:cache_config_info{engine="2",block_size="32",num_gpu_blocks="160",kv_cache_size_tokens="3681"} 1.0',
      'vllm:cache_config_info{engine="3",block_size="32",num_gpu_blocks="200",kv_cache_size_tokens="6400"} 1.0',
      'vllm:cache_config_info{engine="4",block_size="32",num_gpu_blocks="200",kv_cache_size_tokens="None"} 1.0',
    ].join('\n');
    expect(readCacheConfigs(metrics)).toEqual([
      { rank: 0, blockSize: 32, capacityBlocks: 199, prefixCaching: true },
      { rank: 1, blockSize: 16, capacityBlocks: null, prefixCaching: null },
      // A model with several groups of layers holds fewer tokens than its blocks could.
      { rank: 2, blockSize: 32, capacityBlocks: 114, prefixCaching: null },
      { rank: 3, blockSize: 32, capacityBlocks: 199, prefixCaching: null },
      { rank: 4, blockSize: 32, capacityBlocks: 199, prefixCaching: null },
    ]);
  });
});
