import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { readCacheConfigs } from '../../src/gateway/engines/engine-metrics.ts';
import { requestHeaders, responseHeaders } from '../../src/gateway/exchange/forwarded-headers.ts';
import { engineAt } from '../../src/gateway/fleet/worker-discovery.ts';
import { ByteRatio } from '../../src/gateway/prompts/byte-ratio.ts';
import { BucketHistogram } from '../../src/gateway/telemetry/bucket-histogram.ts';
import { readBodyUsage } from '../../src/wire/completion-chunk.ts';

describe('engineAt', () => {
  it('puts the address where the name was, in every address and in the topic', () => {
    const spec = {
      url: 'http://vllm:8000',
      dns: true as const,
      kvEvents: 'tcp://vllm:5557',
      kvReplay: 'tcp://vllm:5657',
      kvTopic: 'kv@vllm:8000@vllm',
    };
    expect(engineAt(spec, 'vllm', '10.0.0.1')).toEqual({
      url: 'http://10.0.0.1:8000',
      kvEvents: 'tcp://10.0.0.1:5557',
      kvReplay: 'tcp://10.0.0.1:5657',
      kvTopic: 'kv@10.0.0.1:8000@vllm',
    });
    expect(engineAt({ ...spec, kvTopic: 'kv@vllm' }, 'vllm', 'fd00::1')).toMatchObject({
      kvEvents: 'tcp://[fd00::1]:5557',
      kvTopic: 'kv@fd00::1',
    });
    expect(engineAt({ ...spec, kvTopic: 'kv-events' }, 'vllm', '10.0.0.1')).toMatchObject({ kvTopic: 'kv-events' });
  });
});

describe('forwarded headers', () => {
  it('leave out what is meant for one connection, and what the gateway sets', () => {
    const raw = [
      ['Host', 'x'],
      ['Connection', 'close, X-Hop'],
      ['X-Hop', '1'],
      ['Transfer-Encoding', 'chunked'],
      ['Content-Length', '5'],
      ['Accept-Encoding', 'gzip'],
      ['X-Kvoyant-Temperature', '1'],
      ['X-Request-Id', 'r'],
      ['Authorization', 'Bearer c'],
      ['X-Session-ID', 's'],
      ['Content-Type', 'application/json'],
    ].flat();
    expect(requestHeaders(raw, null)).toEqual(
      [
        ['authorization', 'Bearer c'],
        ['x-session-id', 's'],
        ['content-type', 'application/json'],
      ].flat(),
    );
    expect(requestHeaders(raw, 'own')).toEqual(
      [
        ['x-session-id', 's'],
        ['content-type', 'application/json'],
        ['authorization', 'Bearer own'],
      ].flat(),
    );
  });

  it('of a response keep repeated ones apart', () => {
    const headers = {
      'set-cookie': ['a=1', 'b=2'],
      connection: 'x-hop',
      'x-hop': '1',
      'x-request-id': 'r',
      server: 's',
    };
    expect(responseHeaders(headers)).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2', 'server', 's']);
  });
});

describe('readCacheConfigs', () => {
  it("reads vLLM's gauge for every rank, less the block that holds nothing", () => {
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

describe('ByteRatio', () => {
  it('starts at four bytes a token and follows what engines report', () => {
    const ratio = new ByteRatio();
    expect(ratio.bytesPerToken).toBe(4);
    for (let i = 0; i < 500; i++) ratio.observe(3000, 1000);
    expect(ratio.bytesPerToken).toBeCloseTo(3, 5);
    for (let i = 0; i < 500; i++) ratio.observe(1_000_000, 1);
    expect(ratio.bytesPerToken).toBeLessThanOrEqual(64);
  });
});

describe('readBodyUsage', () => {
  it('reads the usage of an answer in one piece, whatever else it is', () => {
    const usage = { prompt_tokens: 14, total_tokens: 16, completion_tokens: 2, prompt_tokens_details: null };
    expect(readBodyUsage(Buffer.from(JSON.stringify({ choices: [], usage })))).toEqual({
      promptTokens: 14,
      completionTokens: 2,
      cachedTokens: null,
    });
    for (const body of ['', 'null', '[]', '{}', 'oops']) expect(readBodyUsage(Buffer.from(body))).toBe('absent');
    expect(readBodyUsage(Buffer.from('{"usage":{"prompt_tokens":-1}}'))).toBe('malformed');
  });
});

describe('BucketHistogram', () => {
  it('counts into cumulated buckets', async () => {
    const registry = new Registry();
    const histogram = new BucketHistogram(registry, 'gap_seconds', 'A gap.', [0.1, 1]);
    histogram.record(0.1);
    histogram.record(0.5, 2);
    histogram.record(7);
    expect((await registry.metrics()).trim().split('\n')).toEqual([
      '# HELP gap_seconds A gap.',
      '# TYPE gap_seconds histogram',
      'gap_seconds_bucket{le="0.1"} 1',
      'gap_seconds_bucket{le="1"} 3',
      'gap_seconds_bucket{le="+Inf"} 4',
      'gap_seconds_sum 8.1',
      'gap_seconds_count 4',
    ]);
  });
});
