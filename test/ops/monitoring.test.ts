// The files of ops/ for Prometheus and Grafana: every query names metrics of the code, and promtool accepts them.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startGateway } from '../../src/gateway/index.ts';
import { allMetrics } from '../docs/all-metrics.ts';
import { dashboard, dashboardQueries } from '../docs/grafana-dashboard.ts';
import { debianProgram, runProgram } from './debian-program.ts';
import { groupedLabels, metricsOf } from './promql-names.ts';

const ops = fileURLToPath(new URL('../../ops/', import.meta.url));
const dashboardFile = join(ops, 'grafana', 'kvoyant.json');
const text = (path: string): string => readFileSync(join(ops, path), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}
const rules = (parse(text('prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);

/** Labels that Prometheus adds when it scrapes. */
const scraped = ['job', 'instance', 'le'];
const labelsOf = new Map<string, readonly string[]>();
beforeAll(async () => {
  const registry = allMetrics();
  for (const { name } of await registry.getMetricsAsJSON()) {
    const { labelNames = [] } = registry.getSingleMetric(name) as { labelNames?: readonly string[] };
    labelsOf.set(name, [...labelNames, ...scraped]);
  }
});

function expectKnown(query: string): void {
  const named = metricsOf(query);
  const possible = new Set(scraped);
  for (const { name, labels } of named) {
    const known = labelsOf.get(name);
    expect(known, `${name} in ${query}`).toBeDefined();
    for (const label of labels) expect(known, `${name}{${label}}`).toContain(label);
    for (const label of known!) possible.add(label);
  }
  for (const label of groupedLabels(query)) expect([...possible], query).toContain(label);
}

describe('ops/grafana/kvoyant.json', () => {
  it('is made from the lists of panels', () => {
    const made = `${JSON.stringify(dashboard(), null, 2)}\n`;
    if (process.env['UPDATE_DOCS'] === '1') writeFileSync(dashboardFile, made);
    expect(readFileSync(dashboardFile, 'utf8')).toBe(made);
  });

  it('queries only metrics and labels that exist', () => {
    expect(dashboardQueries.length).toBeGreaterThan(20);
    for (const query of dashboardQueries) {
      expect(metricsOf(query).length, query).toBeGreaterThan(0);
      expectKnown(query);
    }
    for (const [query] of text('grafana/kvoyant.json').matchAll(/label_values\([^"]*\)/g))
      expectKnown(query.replaceAll('\\"', '"'));
  });

  it('has panels that do not overlap, with a title, a description and unique ids', () => {
    type Panel = { id: number; type: string; title: string; description?: string; gridPos: Record<string, number> };
    const { panels } = dashboard() as { panels: Panel[] };
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { type, title, description, gridPos } of panels) {
      expect(title).not.toBe('');
      if (type !== 'row') expect(description, title).toMatch(/\.$/);
      expect(gridPos['x']! + gridPos['w']!).toBeLessThanOrEqual(24);
      for (let x = gridPos['x']!; x < gridPos['x']! + gridPos['w']!; x++) {
        for (let y = gridPos['y']!; y < gridPos['y']! + gridPos['h']!; y++) {
          expect(taken, title).not.toContain(`${x},${y}`);
          taken.add(`${x},${y}`);
        }
      }
    }
  });
});

describe('ops/prometheus/alerts.yaml', () => {
  it('asks only for metrics and labels that exist', () => {
    for (const { alert, expr } of rules) {
      expect(metricsOf(expr).length > 0 || alert === 'KvoyantDown', alert).toBe(true);
      expectKnown(expr);
    }
  });

  it('says of each alert how urgent it is, what has happened and where to look', () => {
    for (const { alert, labels, annotations } of rules) {
      expect(['page', 'ticket'], alert).toContain(labels.severity);
      expect(annotations.summary, alert).not.toBe('');
      expect(annotations.description, alert).not.toBe('');
    }
  });
});

describe('promtool', () => {
  const promtool = debianProgram('promtool', 'prometheus');

  it.skipIf(promtool === null)('accepts the rules and their tests', () => {
    expect(runProgram(promtool!, ['check', 'rules', join(ops, 'prometheus/alerts.yaml')]).output).toContain('SUCCESS');
    expect(runProgram(promtool!, ['test', 'rules', join(ops, 'prometheus/alerts.test.yaml')])).toMatchObject({
      status: 0,
    });
  });

  it.skipIf(promtool === null)('accepts the configuration but for the key, which is a file of the deployment', () => {
    const { output } = runProgram(promtool!, [
      'check',
      'config',
      '--syntax-only',
      join(ops, 'prometheus/prometheus.yaml'),
    ]);
    expect(output).toContain('SUCCESS');
  });

  it.skipIf(promtool === null)('parses every query of the dashboard', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'kvoyant-ops-')), 'queries.json');
    const recorded = dashboardQueries.map((query, at) => ({
      record: `kvoyant:query${at}`,
      expr: query.replaceAll('$__rate_interval', '1m').replace(/\$\w+/g, '.*'),
    }));
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: recorded }] }));
    const { status, output } = runProgram(promtool!, ['check', 'rules', file]);
    expect(output).toContain('SUCCESS');
    expect(status).toBe(0);
  });

  it.skipIf(promtool === null)('finds nothing to criticize in /metrics', async () => {
    const gateway = await startGateway({ port: 0, adminPort: 0, tokenizer: 'none', workers: ['http://127.0.0.1:1'] });
    try {
      const metrics = await (await fetch(`${gateway.adminUrl}/metrics`)).text();
      expect(metrics).toContain('kvoyant_active_blocks');
      expect(runProgram(promtool!, ['check', 'metrics'], metrics)).toEqual({ status: 0, output: '' });
    } finally {
      await gateway.close();
    }
  });
});
