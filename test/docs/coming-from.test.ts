// The page for those who come from other routers names only flags, settings, policies and metrics of ours that exist.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { policyNames } from '../../src/core/index.ts';
import { flagName } from '../../src/gateway/config/setting-texts.ts';
import { settingNames } from '../../src/gateway/config/settings.ts';
import { allMetrics } from './all-metrics.ts';

const text = readFileSync(fileURLToPath(new URL('../../docs/coming-from.md', import.meta.url)), 'utf8');

/** What stands under "Here": second cells of the tables, and all prose. */
const ours = text
  .split('\n')
  .map((line) => (line.startsWith('| ') ? (line.split(' | ')[1] ?? '') : line))
  .join('\n');
const inBackticks = (of: string): string[] => [...of.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

it('every flag that is named as ours exists', () => {
  const flags = inBackticks(ours).flatMap((code) => [...code.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag));
  const known = new Set([...settingNames.map(flagName), '--engines']);
  expect(flags.length).toBeGreaterThan(25);
  expect(flags.filter((flag) => !known.has(flag))).toEqual([]);
});

it('every policy that is named as ours exists', () => {
  const policies = [...ours.matchAll(/--policy ([a-z-]+)`/g)].map(([, name]) => name!);
  expect(policies.length).toBeGreaterThan(4);
  expect(policies.filter((name) => !(policyNames as readonly string[]).includes(name))).toEqual([]);
});

it('every metric that is named exists', () => {
  const known = new Set(
    allMetrics()
      .getMetricsAsArray()
      .map(({ name }) => name),
  );
  const metrics = [...text.matchAll(/\bkvoyant_[a-z_]+/g)].map(([name]) => name);
  expect(metrics.length).toBeGreaterThan(15);
  expect(metrics.filter((name) => !known.has(name))).toEqual([]);
});

it('every setting and variable that is named exists', () => {
  const names = inBackticks(ours).filter((code) => /^[a-z]+([A-Z][a-z]+)+$/.test(code) && code !== 'apiKey');
  expect(names.length).toBeGreaterThan(2);
  expect(names.filter((name) => !(settingNames as readonly string[]).includes(name))).toEqual([]);
});
