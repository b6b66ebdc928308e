// How a family of metrics is written as text. Here: the plain form of Prometheus, as prom-client writes it.

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly FamilySample[];
}

export interface FamilySample {
  /** Default: the family's. */
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
  readonly exemplar?: {
    readonly labelSet: Labels;
    readonly value: number;
    /** Unix time in seconds. */
    readonly timestamp: number;
  };
}

export type Labels = Readonly<Record<string, string | number>>;

export interface MetricsForm {
  readonly contentType: string;
  /** Lines before a family's samples. */
  head(family: Family): string;
  line(sample: FamilySample, family: Family): string;
  /** Between two families. */
  readonly between: string;
  readonly end: string;
}

export const plainForm: MetricsForm = {
  contentType: 'text/plain; version=0.0.4; charset=utf-8',
  head: ({ name, help, type }) => `# HELP ${name} ${escapedLine(help)}\n# TYPE ${name} ${type}\n`,
  line: ({ metricName, labels, value }, { name }) =>
    `${metricName ?? name}${labelsText(labels, String)} ${valueText(value)}\n`,
  between: '\n',
  end: '',
};

/** @param number how bounds of buckets are written */
export function labelsText(labels: Labels, number: (bound: number) => string): string {
  let text = '';
  for (const name in labels) {
    const value = labels[name]!;
    const written = typeof value === 'number' ? number(value) : escaped(value);
    text += `${text === '' ? '{' : ','}${name}="${written}"`;
  }
  return text === '' ? '' : `${text}}`;
}

export function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}

export function escaped(text: string): string {
  return escapedLine(text).replaceAll('"', '\\"');
}

function escapedLine(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
