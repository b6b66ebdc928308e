import fc from 'fast-check';
import { Counter, Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { TurnSlices } from '../../../src/gateway/exchange/turn-slices.ts';
import { BucketHistogram } from '../../../src/gateway/telemetry/bucket-histogram.ts';
import { MetricsText } from '../../../src/gateway/telemetry/metrics-text.ts';
import { openForm, prefersOpenMetrics } from '../../../src/gateway/telemetry/open-metrics.ts';

async function openMetrics(registry: Registry): Promise<string> {
  const text = new MetricsText(registry, new TurnSlices(4, () => performance.now()));
  return (await text.pieces(openForm)).join('');
}

it.each<[string | null, boolean]>([
  [null, false],
  ['', false],
  ['*/*', false],
  ['text/plain', false],
  ['application/openmetrics-text', true],
  ['application/openmetrics-text; version=1.0.0; charset=utf-8', true],
  ['application/openmetrics-text;version=0.0.1', false],
  ['application/openmetrics-text;q=0.5,text/plain;q=0.9', false],
  ['application/openmetrics-text;q=0,*/*', false],
  ['application/openmetrics-text;q=many', false],
  // Prometheus 2 and 3.
  [
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    true,
  ],
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2',
    true,
  ],
])('accept %j: %s', (accept, expected) => {
  expect(prefersOpenMetrics(accept)).toBe(expected);
});

describe('the text', () => {
  it('has families without the suffix of counters, exemplars, and an end', async () => {
    const registry = new Registry();
    new Counter({ name: 'x_total', help: 'a\nb', registers: [registry] }).inc(2);
    new Gauge({ name: 'y', help: 'y', registers: [registry] }).set(Number.POSITIVE_INFINITY);
    const histogram = new BucketHistogram(registry, 'z_seconds', 'z', [1, 2.5]);
    histogram.record(0.5);
    histogram.record(2, 1, 'ab');
    histogram.record(2.25, 1, 'cd');
    const text = await openMetrics(registry);
    expect(text.replace(/\d+\.\d{3}$/gm, 'TIME')).toBe(
      [
        '# TYPE x counter\n# HELP x a\\nb\nx_total 2',
        '# TYPE y gauge\n# HELP y y\ny +Inf',
        '# TYPE z_seconds histogram\n# HELP z_seconds z',
        'z_seconds_bucket{le="1.0"} 1',
        // The latest of the bucket.
        'z_seconds_bucket{le="2.5"} 3 # {trace_id="cd"} 2.25 TIME',
        'z_seconds_bucket{le="+Inf"} 3',
        'z_seconds_sum 4.75\nz_seconds_count 3',
        '# EOF\n',
      ].join('\n'),
    );
  });

  it('keeps any value of a label on its line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 20 }), async (label) => {
        const registry = new Registry();
        new Gauge({ name: 'y', help: 'y', labelNames: ['a'], registers: [registry] }).set({ a: label }, 1);
        const text = await openMetrics(registry);
        const [, shown] = /\ny\{a="((?:[^"\\\n]|\\[\\n"])*)"\} 1\n# EOF\n$/.exec(text)!;
        const read = shown!.replace(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one));
        expect(read).toBe(label);
      }),
    );
  });
});
