// The tables of the reference pages, derived from the code.

import type { Registry } from 'prom-client';
import { defaultOf, environmentName, flagName } from '../../src/gateway/config/setting-texts.ts';
import { type SettingName, settingNames, settingOf } from '../../src/gateway/config/settings.ts';

const row = (...cells: string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
const header = (...names: string[]): string[] => [row(...names), row(...names.map(() => '---'))];

export function settingsTable(): string {
  const rows = settingNames.map((name) => {
    const { description, choices, reload } = settingOf(name);
    const flag = flagName(name);
    const what =
      choices === undefined ? description : `${description}: ${choices.map((choice) => `\`${choice}\``).join(', ')}`;
    return row(
      `\`${name}\``,
      shownDefault(name),
      flag === null ? 'none: a secret' : `\`${flag}\``,
      `\`${environmentName(name)}\``,
      reload,
      what,
    );
  });
  return [...header('Setting', 'Default', 'Flag', 'Environment', 'Reload', 'What it does'), ...rows].join('\n');
}

function shownDefault(name: SettingName): string {
  const value = defaultOf(name);
  if (value === null) return 'none';
  return Array.isArray(value) ? 'empty' : `\`${value}\``;
}

export async function metricsTable(registry: Registry): Promise<string> {
  const metrics = await registry.getMetricsAsJSON();
  const rows = metrics
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, help, type }) => {
      const metric = registry.getSingleMetric(name) as { labelNames?: readonly string[] } | undefined;
      const labels = (metric?.labelNames ?? []).map((label) => `\`${label}\``).join(', ');
      return row(`\`${name}\``, String(type), labels, help);
    });
  return [...header('Metric', 'Type', 'Labels', 'What it says'), ...rows].join('\n');
}
