// Reads the step counters of simulated engines: number, simulated time and lateness.

import { request } from 'undici';
import { parsePrometheusText, sumSamples } from './prometheus-text.ts';

/** Counters of one engine since its start. */
export interface EngineSteps {
  readonly count: number;
  readonly simulatedS: number;
  /** Sum over all steps, in real seconds. */
  readonly lateS: number;
}

const requestTimeoutMs = 10_000;

/** @param url engine URL without path @throws Error naming the engine if it does not answer */
export async function readEngineSteps(url: string): Promise<EngineSteps> {
  const response = await request(new URL('/metrics', url), {
    headersTimeout: requestTimeoutMs,
    bodyTimeout: requestTimeoutMs,
  });
  const text = await response.body.text();
  if (response.statusCode !== 200) throw new Error(`${url}/metrics answered ${response.statusCode}`);
  const samples = parsePrometheusText(text);
  return {
    count: sumSamples(samples, 'kvoyant_sim:steps_total') ?? 0,
    simulatedS: sumSamples(samples, 'kvoyant_sim:busy_seconds_total') ?? 0,
    lateS: sumSamples(samples, 'kvoyant_sim:steps_late_seconds_total') ?? 0,
  };
}
