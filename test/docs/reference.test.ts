// The reference pages agree with the code. With UPDATE_DOCS=1 their tables are rewritten.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../../src/gateway/config/config.ts';
import { engineFields } from '../../src/gateway/config/engine-spec.ts';
import { flagName } from '../../src/gateway/config/setting-texts.ts';
import { settingNames, settings } from '../../src/gateway/config/settings.ts';
import { YamlFile } from '../../src/gateway/config/yaml-file.ts';
import { allMetrics } from './all-metrics.ts';
import { metricsTable, settingsTable } from './reference-tables.ts';

const { UPDATE_DOCS } = process.env;

const pathOf = (page: string): string => fileURLToPath(new URL(`../../docs/${page}`, import.meta.url));
const page = (name: string): string => readFileSync(pathOf(name), 'utf8');

const [begin, end] = ['<!-- table: made from the code -->\n', '\n<!-- end of the table -->'];

/** Compares the table of a page, between its marks; rewrites it before if told to. */
function expectTable(name: string, expected: string): void {
  const tableOf = (text: string): [number, number] => [text.indexOf(begin) + begin.length, text.indexOf(end)];
  if (UPDATE_DOCS === '1') {
    const text = page(name);
    const [from, to] = tableOf(text);
    writeFileSync(pathOf(name), text.slice(0, from) + expected + text.slice(to));
  }
  const text = page(name);
  expect(text.slice(...tableOf(text))).toBe(expected);
}

describe('docs/configuration.md', () => {
  it('lists every setting with default, flag, variable, and reload', () => {
    expectTable('configuration.md', settingsTable());
  });

  it('lists every field of a worker', () => {
    const section = page('configuration.md').split('## Workers')[1]!;
    for (const field of engineFields) expect(section, field).toContain(`\`${field}\``);
  });

  it.each(['configuration.md', 'models.md'])('shows only valid example files, as does %s', (name) => {
    const examples = [...page(name).matchAll(/```yaml\n(# kvoyant\.yaml\n[\s\S]*?)```/g)];
    expect(examples.length).toBeGreaterThan(0);
    for (const [, text] of examples) {
      const options = YamlFile.parse('example', text!).value as object;
      expect(() => resolveConfig(options)).not.toThrow();
    }
  });
});

it('docs/metrics.md has every metric', async () => {
  expectTable('metrics.md', await metricsTable(allMetrics()));
});

describe('docs/operations.md', () => {
  const text = page('operations.md');

  it('names only metrics that exist', async () => {
    const known = page('metrics.md');
    for (const [name] of text.matchAll(/\bkvoyant_\w+/g))
      expect(known, name).toContain(name.replace(/_(bucket|count|sum)$/, ''));
  });

  it('describes the outcome of every limit', () => {
    const limits = settingNames.filter((name) => name.endsWith('Max') && settings[name].kind === 'number');
    const missing = limits.filter((name) => !new RegExp(`^\\| \`${name}\` \\|`, 'm').test(text));
    expect(missing).toEqual([]);
  });

  it('names only flags and settings that exist', () => {
    const flags = settingNames.map(flagName);
    for (const [flag] of text.matchAll(/(?<=`)--[a-z-]+/g)) expect([...flags, '--config'], flag).toContain(flag);
  });
});
