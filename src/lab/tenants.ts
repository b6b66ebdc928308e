// Two tenants in the lab: the requests of a workload, and a burst of another tenant in the middle of them.

import { quantile } from '../report/summary.ts';
import { noBlocks, orderedWorkload, type Workload } from '../trace/workload.ts';
import type { RequestLog } from './request-log.ts';

export const calmTenant = 'calm';
export const burstTenant = 'burst';

/**
 * The workload with a burst of `count` requests in its middle. They have the lengths of the workload's own requests,
 * in turn, and share nothing.
 */
export function withBurst(workload: Workload, count: number): Workload {
  const { requests } = workload;
  const atMs = (requests[0]!.arrivalMs + requests.at(-1)!.arrivalMs) / 2;
  const calm = requests.map((request) => ({ ...request, tenant: calmTenant }));
  const burst = Array.from({ length: count }, (_, i) => {
    const { isl, osl } = requests[i % requests.length]!;
    return { arrivalMs: atMs, isl, osl, blockIds: noBlocks, tenant: burstTenant };
  });
  return orderedWorkload({ ...workload, requests: [...calm, ...burst] });
}

/** Nobody knows whose the requests are: they wait in order of arrival. */
export function withoutTenants(workload: Workload): Workload {
  return { ...workload, requests: workload.requests.map(({ tenant: _, ...request }) => request) };
}

/** A span of virtual time. */
export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** From the burst until the last of its requests has its first token. @param log of a run of `workload` */
export function burstSpan({ requests }: Workload, log: RequestLog): Span {
  let fromMs = Number.POSITIVE_INFINITY;
  let untilMs = 0;
  for (const [index, { tenant, arrivalMs }] of requests.entries()) {
    if (tenant !== burstTenant) continue;
    fromMs = Math.min(fromMs, arrivalMs);
    if (log.isDone(index)) untilMs = Math.max(untilMs, log.firstTokenNs[index]! / 1e6);
  }
  return { fromMs, untilMs };
}

/** TTFT of the requests that arrive in the span, those of the burst left out. */
export interface CalmFigures {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requests: number;
  /** Of all requests, those without an answer. */
  readonly failed: number;
}

export function calmFigures({ requests }: Workload, log: RequestLog, { fromMs, untilMs }: Span): CalmFigures {
  const ttfts: number[] = [];
  let failed = 0;
  for (const [index, { tenant }] of requests.entries()) {
    if (!log.isDone(index)) failed += 1;
    const arrivalMs = log.arrivalNs[index]! / 1e6;
    const isIn = arrivalMs >= fromMs && arrivalMs <= untilMs;
    if (tenant !== burstTenant && log.isDone(index) && isIn) ttfts.push(log.ttftMs(index));
  }
  const sorted = Float64Array.from(ttfts).sort();
  return { p50Ms: quantile(sorted, 0.5), p99Ms: quantile(sorted, 0.99), requests: ttfts.length, failed };
}
