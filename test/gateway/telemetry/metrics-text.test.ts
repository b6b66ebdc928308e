import fc from 'fast-check';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { TurnSlices } from '../../../src/gateway/exchange/turn-slices.ts';
import { BucketHistogram } from '../../../src/gateway/telemetry/bucket-histogram.ts';
import { plainForm } from '../../../src/gateway/telemetry/metrics-form.ts';
import { MetricsText } from '../../../src/gateway/telemetry/metrics-text.ts';
import { openForm } from '../../../src/gateway/telemetry/open-metrics.ts';
import { registerRead } from '../../../src/gateway/telemetry/read-metric.ts';

/** Each question takes the whole slice, so that a turn has one piece of work. */
function slowSlices(): TurnSlices {
  let nowMs = 0;
  return new TurnSlices(1, () => (nowMs += 10));
}

/** As many samples as the gauge of `workers` workers. */
function fleet(workers: number): { readonly registry: Registry; readonly reads: () => number } {
  const registry = new Registry();
  let reads = 0;
  registerRead(registry, {
    ...{ name: 'a_total', help: 'a', type: 'counter', labelNames: ['worker'] },
    *read() {
      reads += 1;
      for (let worker = 0; worker < workers; worker++) yield { labels: { worker: `http://w-${worker}#0` }, value: 1 };
    },
  });
  new Gauge({ name: 'b', help: 'b', registers: [registry] }).set(reads);
  return { registry, reads: () => reads };
}

it('writes what prom-client writes', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 12 });
  const samples = fc.array(fc.tuple(text, text, fc.double({ noNaN: true })), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      samples,
      samples,
      fc.array(fc.double({ min: 0, max: 9, noNaN: true })),
      async (some, more, seen) => {
        const registry = new Registry();
        const registers = [registry];
        const gauge = new Gauge({ name: 'g', help: 'with\na \\ line', labelNames: ['a', 'b'], registers });
        for (const [a, b, value] of some) gauge.set({ a, b }, value);
        const counter = new Counter({ name: 'c_total', help: 'c', labelNames: ['a', 'b'], registers });
        for (const [a, b, value] of more) if (value >= 0 && Number.isFinite(value)) counter.inc({ a, b }, value);
        const histogram = new BucketHistogram(registry, 'h', 'h', [0.5, 1, 2.5]);
        for (const value of seen) histogram.record(value);
        const made = await new MetricsText(registry, slowSlices()).pieces(plainForm);
        expect(made.join('')).toBe(await registry.metrics());
      },
    ),
  );
});

it('has every metric, and each once', async () => {
  const { registry } = fleet(3);
  new Histogram({ name: 'none', help: 'n', labelNames: ['x'], registers: [registry] });
  const made = await new MetricsText(registry, slowSlices()).pieces(plainForm);
  expect(made.join('').match(/^# TYPE .*/gm)).toEqual([
    '# TYPE a_total counter',
    '# TYPE b gauge',
    '# TYPE none histogram',
  ]);
});

it('leaves the loop between two pieces, however many workers a metric has', async () => {
  const { registry } = fleet(20_000);
  let turns = 0;
  let isOver = false;
  const count = (): void => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const made = await new MetricsText(registry, slowSlices()).pieces(plainForm);
  isOver = true;
  expect(made.length).toBeGreaterThan(5);
  expect(Math.max(...made.map(({ length }) => length))).toBeLessThan(70_000);
  expect(turns).toBeGreaterThanOrEqual(made.length - 1);
  expect(made.join('').match(/^a_total/gm)).toHaveLength(20_000);
});

it('makes one text for all scrapes at the same time, and a new one for the next', async () => {
  const { registry, reads } = fleet(2);
  const text = new MetricsText(registry, slowSlices());
  const [first, second, open] = await Promise.all([
    text.pieces(plainForm),
    text.pieces(plainForm),
    text.pieces(openForm),
  ]);
  expect(second).toBe(first);
  expect(open).not.toEqual(first);
  expect(reads()).toBe(2);
  expect(await text.pieces(plainForm)).toEqual(first);
  expect(reads()).toBe(3);
});

it('tells every scrape of a metric that can not be read, and recovers', async () => {
  const registry = new Registry();
  let broken = true;
  registerRead(registry, {
    ...{ name: 'a', help: 'a', type: 'gauge', labelNames: [] },
    read() {
      if (broken) throw new Error('broken');
      return [{ labels: {}, value: 1 }];
    },
  });
  const text = new MetricsText(registry, slowSlices());
  const results = await Promise.allSettled([text.pieces(plainForm), text.pieces(plainForm)]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  broken = false;
  expect((await text.pieces(plainForm)).join('')).toContain('\na 1\n');
});
