// Which metrics and labels a PromQL query names. No parser: enough for the queries of ops/, which promtool parses.

export interface NamedMetric {
  /** Without the suffix of a histogram's series. */
  readonly name: string;
  readonly labels: readonly string[];
}

/** Series of a histogram beside its name. */
const seriesSuffix = /_(bucket|sum|count)$/;

export function metricsOf(query: string): NamedMetric[] {
  return [...query.matchAll(/\b(kvoyant_\w+)(?:\{([^}]*)\})?/g)].map(([, series, selector = '']) => ({
    name: series!.replace(seriesSuffix, ''),
    labels: [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label]) => label!),
  }));
}

/** Labels of `by (...)`, and the second argument of `label_values`. */
export function groupedLabels(query: string): string[] {
  const lists = [...query.matchAll(/\bby \(([^)]*)\)/g)].map(([, list]) => list!);
  const values = [...query.matchAll(/label_values\(.*, (\w+)\)/g)].map(([, label]) => label!);
  return [...lists.flatMap((list) => list.split(',').map((label) => label.trim())), ...values];
}
