import { describe, expect, it } from 'vitest';
import { difference, prefixHitRate, readPromptTokens } from '../../src/load/engine-counters.ts';
import { parsePrometheusText, sumSamples } from '../../src/load/prometheus-text.ts';
import { withClient } from './sse-server.ts';

const metricsText = `# HELP vllm:prompt_tokens_by_source_total Number of prompt tokens
# TYPE vllm:prompt_tokens_by_source_total counter
vllm:prompt_tokens_by_source_total{engine="0",model_name="tiny",source="local_compute"} 33.0
vllm:prompt_tokens_by_source_total{engine="1",model_name="tiny",source="local_compute"} 7
vllm:prompt_tokens_by_source_total{engine="0",model_name="tiny",source="local_cache_hit"} 1.2e1
vllm:num_requests_running 0 1795524086000
`;

describe('parsePrometheusText', () => {
  it('reads names, labels with escapes, and every form of number', () => {
    const samples = parsePrometheusText('a{x="1,}\\"\\n",y="z"} +Inf\nb -Inf\n\nc{} NaN\nd 1e-3 1700000000000');
    expect(samples.map(({ name, labels, value }) => [name, [...labels], value])).toEqual([
      [
        'a',
        [
          ['x', '1,}"\n'],
          ['y', 'z'],
        ],
        Number.POSITIVE_INFINITY,
      ],
      ['b', [], Number.NEGATIVE_INFINITY],
      ['c', [], Number.NaN],
      ['d', [], 0.001],
    ]);
  });

  it('names the line that it cannot read', () => {
    expect(() => parsePrometheusText('fine 1\n<html>')).toThrow('not a metric sample: <html>');
  });
});

describe('sumSamples', () => {
  it('sums matching samples, and distinguishes none from zero', () => {
    const samples = parsePrometheusText(metricsText);
    expect(sumSamples(samples, 'vllm:prompt_tokens_by_source_total', { source: 'local_compute' })).toBe(40);
    expect(sumSamples(samples, 'vllm:num_requests_running')).toBe(0);
    expect(sumSamples(samples, 'vllm:num_requests_waiting')).toBeNull();
  });
});

describe('readPromptTokens', () => {
  it('reads what the engine counted', async () => {
    const tokens = await withClient(
      (response) => void response.end(metricsText),
      (_client, origin) => readPromptTokens(origin),
    );
    expect(tokens).toEqual({ computed: 40, cached: 12 });
    expect(difference(tokens, { computed: 30, cached: 2 })).toEqual({ computed: 10, cached: 10 });
  });

  it('names an engine without such counters or metrics', async () => {
    await withClient(
      (response) => void response.end('up 1\n'),
      (_client, origin) =>
        expect(readPromptTokens(origin)).rejects.toThrow(`${origin}/metrics has no vllm:prompt_tokens`),
    );
    await withClient(
      (response) => void response.writeHead(404).end(),
      (_client, origin) => expect(readPromptTokens(origin)).rejects.toThrow(`${origin}/metrics answered 404`),
    );
  });
});

describe('prefixHitRate', () => {
  it('is weighted by tokens', () => {
    expect(
      prefixHitRate([
        { computed: 90, cached: 10 },
        { computed: 10, cached: 290 },
      ]),
    ).toBe(0.75);
    expect(prefixHitRate([{ computed: 0, cached: 0 }])).toBe(0);
  });
});
