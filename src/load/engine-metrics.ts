// Reads the /metrics page of an engine.

import { request } from 'undici';
import { type MetricSample, parsePrometheusText } from './prometheus-text.ts';

const requestTimeoutMs = 10_000;

/** @param url engine URL without path @throws Error naming the engine if it does not answer */
export async function readEngineMetrics(url: string): Promise<MetricSample[]> {
  const response = await request(new URL('/metrics', url), {
    headersTimeout: requestTimeoutMs,
    bodyTimeout: requestTimeoutMs,
  });
  const text = await response.body.text();
  if (response.statusCode !== 200) throw new Error(`${url}/metrics answered ${response.statusCode}`);
  return parsePrometheusText(text);
}
