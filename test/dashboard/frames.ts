// How smoothly a page runs: frames, long tasks, and how busy its main thread is. Figures to be printed, not asserted.

import type { Page } from 'playwright-core';

export interface Smoothness {
  readonly framesPerS: number;
  /** 99th percentile of the time between two frames. */
  readonly gapP99Ms: number;
  /** Tasks of 50 ms and more. */
  readonly longTasks: number;
  /** Of a core, by the main thread: scripts, style, layout, paint. In processor time, so that a busy machine counts less. */
  readonly busyShare: number;
  readonly scriptShare: number;
}

/** Runs in the page. */
const watch = `(ms) => new Promise((resolve) => {
  let longTasks = 0;
  const observer = new PerformanceObserver((list) => { longTasks += list.getEntries().length; });
  observer.observe({ entryTypes: ['longtask'] });
  const gaps = [];
  const startMs = performance.now();
  let lastMs = startMs;
  const frame = () => {
    const nowMs = performance.now();
    gaps.push(nowMs - lastMs);
    lastMs = nowMs;
    if (nowMs - startMs < ms) return requestAnimationFrame(frame);
    observer.disconnect();
    gaps.sort((a, b) => a - b);
    resolve({
      framesPerS: (1000 * gaps.length) / (nowMs - startMs),
      gapP99Ms: gaps[Math.floor(0.99 * gaps.length)],
      longTasks,
    });
  };
  requestAnimationFrame(frame);
})`;

export async function smoothness(page: Page, ms: number): Promise<Smoothness> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async (): Promise<ReadonlyMap<string, number>> => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return new Map(metrics.map(({ name, value }) => [name, value]));
  };
  const before = await read();
  const frames = (await page.evaluate(`(${watch})(${ms})`)) as Omit<Smoothness, 'busyShare' | 'scriptShare'>;
  const after = await read();
  await devtools.detach();
  const share = (name: string): number => (1000 * (after.get(name)! - before.get(name)!)) / ms;
  return { ...frames, busyShare: share('TaskDuration'), scriptShare: share('ScriptDuration') };
}

export function smoothnessLine(view: string, figures: Smoothness): string {
  const { framesPerS, gapP99Ms, longTasks, busyShare, scriptShare } = figures;
  const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
  return (
    `${view}: ${framesPerS.toFixed(1)} frames a second, 99 % of the gaps within ${gapP99Ms.toFixed(1)} ms, ` +
    `${longTasks} long tasks, main thread busy ${percent(busyShare)} (scripts ${percent(scriptShare)})`
  );
}
