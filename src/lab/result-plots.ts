// Plots of an experiment: TTFT distribution, TTFT over load, hit rates, and worker load over time.

import { type BarChart, barChart } from '../report/svg-bars.ts';
import { linePlot, type Series } from '../report/svg-plot.ts';
import type { PolicyRuns } from './report-section.ts';
import { meanOver } from './result-table.ts';
import type { RunResult } from './run-result.ts';

/** TTFT distribution of the first seed. */
export function ttftCdfPlot(title: string, policies: readonly PolicyRuns[]): string {
  return linePlot({
    title,
    xLabel: 'TTFT, s',
    yLabel: 'share of requests',
    xLog: true,
    series: policies.map(({ policy, runs }) => ({
      name: policy,
      points: runs[0]!.ttftQuantilesMs.flatMap((ms, percent) =>
        ms === null ? [] : [[ms / 1000, percent / 100] as const],
      ),
    })),
  });
}

export function hitRatePlot(title: string, policies: readonly PolicyRuns[]): string {
  const chart: BarChart = {
    title,
    xLabel: 'prefix hit rate (share of prompt tokens)',
    bars: policies.map(({ policy, runs }) => ({
      name: policy,
      value: meanOver(runs, ({ cache }) => cache.hitRate) ?? 0,
    })),
    references: [
      { name: 'infinite cache', value: meanOver(policies[0]!.runs, ({ cache }) => cache.ceiling) ?? 0 },
      { name: 'pooled LRU', value: meanOver(policies[0]!.runs, ({ cache }) => cache.pooledLru) ?? 0 },
    ],
  };
  return barChart(chart);
}

/** Waiting and running requests of each engine over time. */
export function workerLoadPlot(title: string, { load }: RunResult): string {
  return linePlot({
    title,
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
export function ttftOverTimePlot(title: string, policies: readonly PolicyRuns[]): string {
  return linePlot({
    title,
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
export function ttftOverLoadPlot(title: string, xLabel: string, series: readonly Series[]): string {
  return linePlot({ title, xLabel, yLabel: 'mean TTFT, s', yLog: true, marks: true, series });
}

const pointsMax = 120;

function thinned<T>(points: readonly T[]): T[] {
  const every = Math.ceil(points.length / pointsMax);
  return points.filter((_, at) => at % every === 0);
}
