import { resourceFromAttributes } from '@opentelemetry/resources';
import fc from 'fast-check';
import { Counter, Gauge, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { BucketHistogram } from '../../../src/gateway/telemetry/bucket-histogram.ts';
import { MetricsProducer } from '../../../src/gateway/tracing/metrics-producer.ts';

const collected = async (registry: Registry) => {
  const producer = new MetricsProducer(registry, resourceFromAttributes({}), '9', 1_700_000_000_123.5);
  const { resourceMetrics, errors } = await producer.collect();
  expect(errors).toEqual([]);
  return resourceMetrics.scopeMetrics[0]!.metrics;
};

it('counts each value in the bucket that holds it', async () => {
  const bounds = [1, 5, 10];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.double({ min: 0, max: 20, noNaN: true })), async (values) => {
      const registry = new Registry();
      const histogram = new BucketHistogram(registry, 'kvoyant_x_seconds', 'help', bounds);
      for (const value of values) histogram.record(value, 1, 'a'.repeat(32));
      const [metric] = await collected(registry);
      const { buckets, sum, count } = metric!.dataPoints[0]!.value as {
        buckets: { boundaries: number[]; counts: number[] };
        sum: number;
        count: number;
      };
      expect(buckets.boundaries).toEqual(bounds);
      const within = (low: number, high: number): number =>
        values.filter((value) => value > low && value <= high).length;
      expect(buckets.counts).toEqual([within(-1, 1), within(1, 5), within(5, 10), within(10, 99)]);
      expect([count, sum]).toEqual([values.length, values.reduce((total, value) => total + value, 0)]);
    }),
  );
});

it('keeps names and labels, leaves out what has no value, and has times in seconds and nanoseconds', async () => {
  const registry = new Registry();
  const registers = [registry];
  new Counter({ name: 'kvoyant_x_bytes_total', help: 'x', labelNames: ['to'], registers }).inc({ to: 'a"\n' }, 3);
  new Gauge({ name: 'kvoyant_active_blocks', help: 'y', labelNames: ['worker'], registers });
  const metrics = await collected(registry);
  expect(metrics).toHaveLength(1);
  expect(metrics[0]).toMatchObject({
    descriptor: { name: 'kvoyant_x_bytes_total', description: 'x', unit: 'By' },
    isMonotonic: true,
    dataPoints: [{ attributes: { to: 'a"\n' }, value: 3, startTime: [1_700_000_000, 123_500_000] }],
  });
});
