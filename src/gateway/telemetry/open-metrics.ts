// The metrics in the OpenMetrics text format, which has exemplars: traced requests behind the buckets of a histogram.
//
// Written here because prom-client renames counters in a registry when it writes this format, for good.
// Source: OpenMetrics 1.0.

import { escaped, type Family, type FamilySample, labelsText, type MetricsForm, valueText } from './metrics-form.ts';

export const openForm: MetricsForm = {
  contentType: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  head: (family) => {
    const name = familyName(family);
    return `# TYPE ${name} ${family.type}\n# HELP ${name} ${escaped(family.help)}\n`;
  },
  line: (sample, family) => `${lineOf(sample, family)}\n`,
  between: '',
  end: '# EOF\n',
};

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

/** A counter's family is named without the suffix of its samples. */
function familyName({ name, type }: Family): string {
  return type === 'counter' ? name.replace(/_total$/, '') : name;
}

function lineOf({ metricName, labels, value, exemplar }: FamilySample, family: Family): string {
  const name = family.type === 'counter' ? `${familyName(family)}_total` : family.name;
  const line = `${metricName ?? name}${labelsText(labels, canonical)} ${valueText(value)}`;
  if (exemplar === undefined) return line;
  const { labelSet, value: seen, timestamp } = exemplar;
  return `${line} # ${labelsText(labelSet, canonical)} ${valueText(seen)} ${timestamp.toFixed(3)}`;
}

/** Bounds of buckets are floats. */
function canonical(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
}
