// Scales, plots and bars: positions of their parts, and no external resources.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { htmlDetails, htmlPage, htmlTable } from '../../src/report/html-page.ts';
import { barChart } from '../../src/report/svg-bars.ts';
import { linePlot } from '../../src/report/svg-plot.ts';
import { linearScale, logScale } from '../../src/report/svg-scale.ts';

describe('linearScale', () => {
  it('covers the values with round ticks', () => {
    const scale = linearScale(0, 47, 100, 200);
    expect(scale.ticks.map(({ label }) => label)).toEqual(['0', '10', '20', '30', '40', '50']);
    expect([scale.at(0), scale.at(25), scale.at(50)]).toEqual([100, 150, 200]);
    expect(linearScale(0, 0.03, 0, 1).ticks.map(({ label }) => label)).toEqual(['0.00', '0.01', '0.02', '0.03']);
  });

  it('keeps every value on the axis', () => {
    const value = fc.double({ min: -1e6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        fc.pre(high - low > 1e-6);
        const scale = linearScale(low, high, 0, 100);
        expect(scale.at(low)).toBeGreaterThanOrEqual(-1e-6);
        expect(scale.at(high)).toBeLessThanOrEqual(100 + 1e-6);
        expect(scale.ticks.length).toBeLessThanOrEqual(8);
      }),
    );
  });
});

describe('logScale', () => {
  it('has equal distances for equal ratios', () => {
    const scale = logScale(0.1, 1000, 0, 400);
    expect(scale.ticks.map(({ label }) => label)).toEqual(['0.1', '1', '10', '100', '1000']);
    expect(scale.at(10) - scale.at(1)).toBeCloseTo(scale.at(1) - scale.at(0.1), 9);
    expect(scale.at(0)).toBe(0);
    expect(logScale(2, 40, 0, 1).ticks.map(({ label }) => label)).toEqual(['3', '10', '30']);
  });
});

describe('linePlot', () => {
  const points = [
    [0, 1],
    [5, Number.NaN],
    [10, 3],
  ] as const;

  it('draws each line with its name, and omits points that are not finite', () => {
    const svg = linePlot({ title: 'a < b', xLabel: 'x', yLabel: 'y', series: [{ name: 'one & two', points }] });
    expect(svg).toContain('<title>a &lt; b</title>');
    expect(svg).toContain('one &amp; two');
    expect(svg).not.toContain('NaN');
    expect(svg.match(/d="M[\d.]+ [\d.]+L[\d.]+ [\d.]+"/g)).toHaveLength(1);
    expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:/);
  });

  it('shows a line under another one that coincides with it', () => {
    const apart = [0, 5, 10].map((x) => [x, x] as const);
    const together = [0, 5, 10].map((x) => [x, 10 - x] as const);
    const svg = linePlot({
      title: 't',
      xLabel: 'x',
      yLabel: 'y',
      series: [
        { name: 'one', points: together },
        { name: 'two', points: apart },
        { name: 'three', points: together },
      ],
    });
    const dashed = svg.split('\n').filter((part) => part.includes('stroke-dasharray'));
    expect(dashed).toHaveLength(1);
    expect(dashed[0]).toContain('class="l2"');
  });

  it('sets the names of lines beside their ends, in the colours of the lines and never over each other', () => {
    const ends = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(ends, (values) => {
        const series = values.map((value, at) => ({
          name: `line${at}`,
          points: [[0, 0.5] as const, [1, value] as const],
        }));
        const svg = linePlot({ title: 't', xLabel: 'x', yLabel: 'y', series });
        const labels = [...svg.matchAll(/y="([\d.]+)"[^>]*class="f(\d+)"[^>]*>line(\d+)</g)];
        expect(labels).toHaveLength(values.length);
        for (const [, , colour, name] of labels) expect(colour).toBe(name);
        const heights = labels.map(([, y]) => Number(y)).sort((a, b) => a - b);
        for (const [at, y] of heights.entries()) if (at > 0) expect(y - heights[at - 1]!).toBeGreaterThan(14.8);
      }),
    );
  });

  it('has other colours for readers that prefer dark pages', () => {
    const svg = linePlot({ title: 't', xLabel: '', yLabel: '', series: [{ name: 'one', points }] });
    const [, dark] = /@media \(prefers-color-scheme: dark\)\{(.*)\}<\/style>/.exec(svg)!;
    for (const [, name] of svg.matchAll(/class="(\w+)"/g)) expect(dark).toContain(`.${name}{`);
  });

  it('marks points on request, and says if there are none', () => {
    const series = [{ name: 'one', points }];
    expect(linePlot({ title: 't', xLabel: '', yLabel: '', series, marks: true }).match(/<circle/g)).toHaveLength(2);
    const empty = linePlot({ title: 't', xLabel: '', yLabel: '', series: [{ name: 'one', points: [] }], yLog: true });
    expect(empty).toContain('nothing to show');
  });
});

describe('barChart', () => {
  it('draws bars in proportion, and the references over them', () => {
    const bars = [
      { name: 'half', value: 0.25 },
      { name: 'whole', value: 0.5 },
    ];
    const references = [{ name: 'bound', value: 0.6 }];
    const svg = barChart({ title: 't', xLabel: 'x', bars, references, format: (value) => `${value * 100} %` });
    const [half, whole] = [...svg.matchAll(/<rect x="[\d.]+"[^>]* width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    expect(whole! / half!).toBeCloseTo(2, 1);
    expect(svg).toContain('>bound 60 %<');
    expect(svg).toContain('>25 %<');
  });
});

describe('htmlPage', () => {
  it('escapes text, and accepts the columns of a text table', () => {
    const table = htmlTable(
      [
        { title: '<name>', align: 'left' },
        { title: 'mean', group: 'TTFT' },
      ],
      [['a&b', '1']],
    );
    const page = htmlPage('t & u', [htmlDetails('more', [table])]);
    expect(page).toContain('<th class="left">&lt;name&gt;</th>');
    expect(page).toContain('<th class="group">TTFT</th>');
    expect(page).toContain('<th>mean</th>');
    expect(page).toContain('<td class="left">a&amp;b</td>');
    expect(page).toContain('<summary>more</summary>');
    expect(page).not.toMatch(/https?:|<script/);
  });
});
