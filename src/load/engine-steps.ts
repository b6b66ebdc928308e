// Reads the step counters of simulated engines: number, simulated time and lateness.

import { readEngineMetrics } from './engine-metrics.ts';
import { sumSamples } from './prometheus-text.ts';

/** Counters of one engine since its start. */
export interface EngineSteps {
  readonly count: number;
  readonly simulatedS: number;
  /** Sum over all steps, in real seconds. */
  readonly lateS: number;
}

/** @param url engine URL without path @throws Error naming the engine if it does not answer */
export async function readEngineSteps(url: string): Promise<EngineSteps> {
  const samples = await readEngineMetrics(url);
  return {
    count: sumSamples(samples, 'kvoyant_sim:steps_total') ?? 0,
    simulatedS: sumSamples(samples, 'kvoyant_sim:busy_seconds_total') ?? 0,
    lateS: sumSamples(samples, 'kvoyant_sim:steps_late_seconds_total') ?? 0,
  };
}
