// Simulated engines for tests, with helpers to query them.

import { afterEach } from 'vitest';
import { constantStepTime } from '../../src/sim/index.ts';
import { type SimWorkers, type StartOptions, startSimWorkers } from '../../src/worker/index.ts';
import { toyTokenizer } from './toy-tokenizer.ts';

const open: SimWorkers[] = [];

afterEach(async () => {
  await Promise.all(open.splice(0).map((fleet) => fleet.close()));
});

/** Closed after the test. Steps take one real millisecond by default. */
export async function startFleet(options: StartOptions = {}): Promise<SimWorkers> {
  const fleet = await startSimWorkers({
    port: 0,
    tokenizer: toyTokenizer,
    model: 'toy',
    stepTime: constantStepTime(1),
    apiOverheadMs: 0,
    ...options,
  });
  open.push(fleet);
  return fleet;
}

export async function startOne(options: StartOptions = {}): Promise<string> {
  return (await startFleet(options)).workers[0]!.url;
}

export function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(url, { method: 'POST', body: text, headers, ...(signal === undefined ? {} : { signal }) });
}

/** The data of each event of a stream. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''));
}

/** One sample of the metrics page, by the start of its line. */
export async function metric(url: string, start: string): Promise<number> {
  const line = (await (await fetch(`${url}/metrics`)).text()).split('\n').find((text) => text.startsWith(start));
  if (line === undefined) throw new Error(`no metric ${start}`);
  return Number(line.slice(line.lastIndexOf(' ') + 1));
}

/** Waits until a metric has a value; the test's own timeout ends it otherwise. */
export async function metricBecomes(url: string, start: string, value: number): Promise<void> {
  while ((await metric(url, start)) !== value) await new Promise((resolve) => setTimeout(resolve, 5));
}
