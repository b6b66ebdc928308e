// The picture of a comparison: bars in order, in proportion, with their values; references left out.

import { describe, expect, it } from 'vitest';
import {
  executeJob,
  parsePolicySpec,
  policyPlot,
  type ReportSection,
  runSpecDefaults,
  toJson,
} from '../../src/lab/index.ts';
import { generateWorkload } from '../../src/trace/generate-workload.ts';

const base = executeJob(
  { kind: 'run', spec: toJson({ ...runSpecDefaults, policy: parsePolicySpec('kv'), workers: 2 }), speed: 1 },
  generateWorkload('zipf', 1, { requests: 60, ratePerS: 5 }),
);

function section(title: string, factors: Readonly<Record<string, number>>): ReportSection {
  const { sumMs, requests } = base.ttftBlocks;
  const policies = Object.entries(factors).map(([policy, factor]) => ({
    policy,
    runs: [{ ...base, ttftBlocks: { sumMs: sumMs.map((ms) => ms * factor), requests } }],
  }));
  return { title, loads: [{ label: '0.9 of round robin', policies }] };
}

const sections = [
  section('a', { 'round-robin': 1, kv: 0.5, foresee: 0.4, 'what-if:told=on': 0.1 }),
  section('b', { 'round-robin': 1, kv: 0.5, foresee: 0.625, 'what-if:told=on': 0.1 }),
];

const texts = (svg: string): string[] => [...svg.matchAll(/<text[^>]*>([^<]*)</g)].map(([, text]) => text!);
const widths = (svg: string, fill: string): number[] =>
  [...svg.matchAll(new RegExp(`width="([\\d.]+)" height="14" fill="${fill}"`, 'g'))].map(([, width]) => Number(width));

describe('policyPlot', () => {
  const svg = policyPlot(sections, 'round-robin', 'foresee')!;

  it('names the policies best first and leaves references out', () => {
    const names = texts(svg).filter((text) => ['kv', 'foresee', 'round-robin', 'what-if:told=on'].includes(text));
    expect(names).toHaveLength(3);
    expect(names.at(-1)).toBe('round-robin');
  });

  it('labels every bar with its value: the geometric mean, and the worst row', () => {
    expect(texts(svg).filter((text) => text === '0.50')).toHaveLength(2);
    expect(texts(svg)).toContain('1.25');
  });

  it('states the finding in its title', () => {
    expect(texts(svg)[0]).toMatch(
      /^(kv|foresee) waits least: 0\.50 of round-robin's time to first token, at worst 1\.25/,
    );
  });

  it('draws equal values with equal bars, and the highlighted policy in colour', () => {
    const [own] = widths(svg, '#0b63b8');
    expect(widths(svg, '#0b63b8')).toHaveLength(2);
    expect(widths(svg, '#9fb0c0')[0]).toBeCloseTo(own!, 0);
  });

  it('is null without the reference, or with it alone', () => {
    expect(policyPlot(sections, 'random', 'foresee')).toBeNull();
    expect(
      policyPlot([section('a', { 'round-robin': 1 }), section('b', { 'round-robin': 1 })], 'round-robin', 'kv'),
    ).toBeNull();
  });
});
