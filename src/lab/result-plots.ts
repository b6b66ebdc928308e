// Plots of an experiment: TTFT by share of requests, TTFT over load, hit rates, and worker load over time.

import { findingOf } from '../report/finding.ts';
import { type BarChart, barChart } from '../report/svg-bars.ts';
import { linePlot, type Series } from '../report/svg-plot.ts';
import { formatNumber } from '../report/text-table.ts';
import type { PolicyRuns } from './report-section.ts';
import { meanOver } from './result-table.ts';
import type { RunResult } from './run-result.ts';

/**
 * TTFT of the first seed as a function of the share of requests that were answered sooner, so that lines end apart, and
 * the slowest requests are on the right.
 */
export function ttftQuantilePlot(of: string, policies: readonly PolicyRuns[]): string {
  return linePlot({
    title: meanTtftFinding(policies),
    subtitle: `${of}: time to first token, from the soonest request to the latest`,
    xLabel: 'share of requests answered sooner, %',
    yLabel: 'TTFT, s',
    yLog: true,
    series: policies.map(({ policy, runs }) => ({
      name: policy,
      points: runs[0]!.ttftQuantilesMs.flatMap((ms, percent) =>
        ms === null || ms <= 0 ? [] : [[percent, ms / 1000] as const],
      ),
    })),
  });
}

export function hitRatePlot(of: string, policies: readonly PolicyRuns[]): string {
  const bars = policies.map(({ policy, runs }) => ({
    name: policy,
    value: meanOver(runs, ({ cache }) => cache.hitRate) ?? 0,
  }));
  const chart: BarChart = {
    title: findingOf('hit rate', bars, (value) => formatNumber(value, 3), 'higher'),
    subtitle: `${of}: share of prompt tokens found in a cache`,
    xLabel: 'prefix hit rate',
    format: (value) => formatNumber(value, 3),
    bars,
    references: [
      { name: 'infinite cache', value: meanOver(policies[0]!.runs, ({ cache }) => cache.ceiling) ?? 0 },
      { name: 'pooled LRU', value: meanOver(policies[0]!.runs, ({ cache }) => cache.pooledLru) ?? 0 },
    ],
  };
  return barChart(chart);
}

/** Waiting and running requests of each engine over time. */
export function workerLoadPlot(of: string, { load }: RunResult): string {
  const means = load.unfinished.map((samples) => samples.reduce((sum, value) => sum + value, 0) / samples.length);
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
  const busiest = means.indexOf(Math.max(...means));
  return linePlot({
    title:
      mean > 0
        ? `Busiest: worker ${busiest}, with ${formatNumber(means[busiest]! / mean, 2)} times the mean requests`
        : 'No request was in an engine when it was sampled',
    subtitle: `${of}: requests in each engine over time`,
    xLabel: 'time, s',
    yLabel: 'requests in the engine',
    height: 220,
    series: load.unfinished.map((samples, worker) => ({
      name: `worker ${worker}`,
      points: thinned(samples.map((value, at) => [load.timesS[at]!, value] as const)),
    })),
  });
}

/** p99 TTFT of the requests that arrive in each stretch of the first seed. */
export function ttftOverTimePlot(of: string, policies: readonly PolicyRuns[]): string {
  const worst = policies.map(({ policy, runs }) => ({
    name: policy,
    value: Math.max(...runs[0]!.ttftOverTime.p99Ms.map((ms) => ms ?? 0)) / 1000,
  }));
  return linePlot({
    title: findingOf('p99 TTFT of the worst stretch', worst, seconds, 'lower'),
    subtitle: `${of}: p99 TTFT over time`,
    xLabel: 'time of arrival, s',
    yLabel: 'p99 TTFT, s',
    yLog: true,
    series: policies.map(({ policy, runs }) => {
      const { startS, windowS, p99Ms } = runs[0]!.ttftOverTime;
      const middleS = (window: number): number => startS + (window + 0.5) * windowS;
      return {
        name: policy,
        points: p99Ms.flatMap((ms, window) => (ms === null ? [] : [[middleS(window), ms / 1000] as const])),
      };
    }),
  });
}

/** Mean TTFT as a function of the load. */
export function ttftOverLoadPlot(of: string, xLabel: string, series: readonly Series[]): string {
  const last = series.map(({ name, points }) => ({ name, value: points.at(-1)?.[1] ?? null }));
  return linePlot({
    title: findingOf('mean TTFT at the highest load', last, seconds, 'lower'),
    subtitle: `${of}: mean TTFT over load`,
    xLabel,
    yLabel: 'mean TTFT, s',
    yLog: true,
    marks: true,
    series,
  });
}

function meanTtftFinding(policies: readonly PolicyRuns[]): string {
  const means = policies.map(({ policy, runs }) => {
    const ms = meanOver(runs, ({ measured }) => measured.ttftMs.mean);
    return { name: policy, value: ms === null ? null : ms / 1000 };
  });
  return findingOf('mean TTFT', means, seconds, 'lower');
}

function seconds(value: number): string {
  return `${formatNumber(value, value < 10 ? 2 : 1)} s`;
}

const pointsMax = 120;

function thinned<T>(points: readonly T[]): T[] {
  const every = Math.ceil(points.length / pointsMax);
  return points.filter((_, at) => at % every === 0);
}
