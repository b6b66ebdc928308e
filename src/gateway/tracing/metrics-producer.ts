// The Prometheus metrics of the gateway as OTLP data: the same table, names and labels, cumulative.

import type { HrTime } from '@opentelemetry/api';
import type { Resource } from '@opentelemetry/resources';
import type { CollectionResult, DataPoint, MetricData, MetricProducer } from '@opentelemetry/sdk-metrics';
import type { Registry } from 'prom-client';

/** Enums of the API and of the SDK for metrics, whose packages are loaded only where a collector is configured. */
const doubles = 1;
const cumulative = 1;
const [histogram, gauge, sum] = [0, 2, 3];

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
}

export class MetricsProducer implements MetricProducer {
  readonly #registry: Registry;
  readonly #resource: Resource;
  readonly #scope: { readonly name: string; readonly version: string };
  readonly #startMs: number;

  /** @param startMs Unix time since which counters count */
  constructor(registry: Registry, resource: Resource, version: string, startMs: number) {
    this.#registry = registry;
    this.#resource = resource;
    this.#scope = { name: 'kvoyant', version };
    this.#startMs = startMs;
  }

  async collect(): Promise<CollectionResult> {
    const families = (await this.#registry.getMetricsAsJSON()) as unknown as readonly Family[];
    const times = { startTime: hrTime(this.#startMs), endTime: hrTime(Date.now()) };
    const metrics = families.flatMap((family) => {
      const metric = dataOf(family, times);
      return metric === null ? [] : [metric];
    });
    const scopeMetrics = [{ scope: this.#scope, metrics }];
    return { resourceMetrics: { resource: this.#resource, scopeMetrics }, errors: [] };
  }
}

type Times = Pick<DataPoint<number>, 'startTime' | 'endTime'>;

/** Null: it has no value now. */
function dataOf({ name, help, type, values }: Family, times: Times): MetricData | null {
  if (values.length === 0) return null;
  const descriptor = { name, description: help, unit: unitOf(name), valueType: doubles };
  const common = { descriptor, aggregationTemporality: cumulative };
  if (type === 'histogram') return { ...common, dataPointType: histogram, dataPoints: histogramPoints(values, times) };
  const dataPoints = values.map(({ labels, value }) => ({ ...times, attributes: { ...labels }, value }));
  if (type === 'counter') return { ...common, dataPointType: sum, isMonotonic: true, dataPoints };
  return { ...common, dataPointType: gauge, dataPoints };
}

/** Unit in UCUM, from the name's ending. */
function unitOf(name: string): string {
  const base = name.replace(/_total$/, '');
  if (base.endsWith('_seconds')) return 's';
  if (base.endsWith('_bytes')) return 'By';
  const counted = /_(tokens|blocks|requests)$/.exec(base)?.[1];
  return counted === undefined ? '1' : `{${counted.slice(0, -1)}}`;
}

interface Growing {
  readonly attributes: Record<string, string | number>;
  readonly boundaries: number[];
  /** Not cumulated. */
  readonly counts: number[];
  before: number;
  sum: number;
  count: number;
}

/** One point for each set of labels, of cumulated buckets in rising order. */
function histogramPoints(
  samples: readonly Sample[],
  times: Times,
): DataPoint<{ buckets: { boundaries: number[]; counts: number[] }; sum: number; count: number }>[] {
  const points = new Map<string, Growing>();
  for (const { metricName = '', labels, value } of samples) {
    const { le, ...attributes } = labels;
    const key = JSON.stringify(attributes);
    let point = points.get(key);
    if (point === undefined) {
      point = { attributes, boundaries: [], counts: [], before: 0, sum: 0, count: 0 };
      points.set(key, point);
    }
    if (metricName.endsWith('_bucket')) {
      if (le !== '+Inf') point.boundaries.push(Number(le));
      point.counts.push(value - point.before);
      point.before = value;
    } else if (metricName.endsWith('_sum')) point.sum = value;
    else point.count = value;
  }
  return [...points.values()].map(({ attributes, boundaries, counts, sum: total, count }) => ({
    ...times,
    attributes,
    value: { buckets: { boundaries, counts }, sum: total, count },
  }));
}

function hrTime(epochMs: number): HrTime {
  const seconds = Math.floor(epochMs / 1000);
  return [seconds, Math.round((epochMs - seconds * 1000) * 1e6)];
}
