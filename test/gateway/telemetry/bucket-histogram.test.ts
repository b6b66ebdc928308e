import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { BucketHistogram } from '../../../src/gateway/telemetry/bucket-histogram.ts';

describe('BucketHistogram', () => {
  it('counts into cumulative buckets', async () => {
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
