// The metrics in the OpenMetrics text format, which has exemplars: traced requests behind the buckets of a histogram.
//
// Written here because prom-client renames counters in a registry when it writes this format, for good.
// Source: OpenMetrics 1.0.

import type { Registry } from 'prom-client';

export const openMetricsType = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  readonly exemplar?: {
    readonly labelSet: Readonly<Record<string, string>>;
    readonly value: number;
    /** Unix time in seconds. */
    readonly timestamp: number;
  };
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly Sample[];
}

/** Whether a scraper prefers OpenMetrics, as Prometheus does. @param accept its header, or null */
export function prefersOpenMetrics(accept: string | null): boolean {
  if (accept === null) return false;
  let open = 0;
  let plain = 0;
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const quality = weightOf(parameters);
    if (type === 'application/openmetrics-text') {
      if (parameters.every((one) => !one.startsWith('version=') || one === 'version=1.0.0'))
        open = Math.max(open, quality);
    } else if (type === 'text/plain' || type === 'text/*' || type === '*/*') plain = Math.max(plain, quality);
  }
  return open > 0 && open >= plain;
}

function weightOf(parameters: readonly string[]): number {
  const text = parameters.find((one) => one.startsWith('q='))?.slice(2);
  const weight = text === undefined ? 1 : Number(text);
  return weight >= 0 && weight <= 1 ? weight : 0;
}

export async function openMetrics(registry: Registry): Promise<string> {
  const families = (await registry.getMetricsAsJSON()) as unknown as readonly Family[];
  const lines: string[] = [];
  for (const { name, help, type, values } of families) {
    // A counter's family is named without the suffix of its samples.
    const family = type === 'counter' ? name.replace(/_total$/, '') : name;
    lines.push(`# TYPE ${family} ${type}`, `# HELP ${family} ${escaped(help)}`);
    for (const sample of values) lines.push(lineOf(sample, type === 'counter' ? `${family}_total` : name));
  }
  return `${lines.join('\n')}\n# EOF\n`;
}

function lineOf({ metricName, labels, value, exemplar }: Sample, name: string): string {
  const line = `${metricName ?? name}${labelsOf(labels)} ${numberOf(value)}`;
  if (exemplar === undefined) return line;
  return `${line} # ${labelsOf(exemplar.labelSet)} ${numberOf(exemplar.value)} ${exemplar.timestamp.toFixed(3)}`;
}

function labelsOf(labels: Readonly<Record<string, string | number>>): string {
  const pairs = Object.entries(labels).map(
    ([name, value]) => `${name}="${typeof value === 'number' ? canonical(value) : escaped(value)}"`,
  );
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

/** Bounds of buckets are floats. */
function canonical(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

function numberOf(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf';
}

function escaped(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"');
}
