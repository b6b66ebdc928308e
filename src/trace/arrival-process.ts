// Changes the arrivals of a workload: by another process, with jitter, at another speed, or only its first requests.

import { Random } from '../core/random.ts';
import { burstArrivalsMs, poissonArrivalsMs } from './arrivals.ts';
import { gamma } from './distributions.ts';
import { orderedWorkload, type Workload, type WorkloadRequest } from './workload.ts';

export type ArrivalProcess =
  /** Independent exponential gaps. */
  | { readonly kind: 'poisson'; readonly ratePerS: number }
  /** Independent gamma gaps with coefficient of variation `cv`: 1 is Poisson, higher values are burstier. */
  | { readonly kind: 'gamma'; readonly ratePerS: number; readonly cv: number }
  | { readonly kind: 'all-at-once' }
  /**
   * All requests wait from time 0, and `concurrency` of them are in flight. Turns of a session run one after another.
   */
  | { readonly kind: 'closed-loop'; readonly concurrency: number };

/** A stream separate from `new Random(seed)`, which makes the prompts: other arrivals do not change the prompts. */
export const arrivalChance = (seed: number): Random => new Random(seed ^ 0x5bd1e995);

/**
 * The same requests in the same order, with arrivals of another process. Requests with `after` keep it; the process
 * decides the arrivals of the others, such as session starts.
 */
export function withArrivals(workload: Workload, process: ArrivalProcess, seed: number): Workload {
  const openCount = workload.requests.reduce((count, request) => count + (request.after === undefined ? 1 : 0), 0);
  const arrivalsMs = processArrivalsMs(process, openCount, arrivalChance(seed));
  let next = 0;
  const arrived = moveArrivals(workload, () => arrivalsMs[next++]!);
  if (process.kind !== 'closed-loop') return arrived;
  return orderedWorkload({
    ...arrived,
    requests: turnByTurn(arrived.requests),
    concurrencyMax: process.concurrency,
  });
}

/** Adds a uniform delay of 0 .. `jitterMs` to every arrival, for traces with a coarse clock. */
export function jitterArrivals(workload: Workload, jitterMs: number, seed: number): Workload {
  checkPositive('jitterMs', jitterMs);
  const random = arrivalChance(seed);
  return moveArrivals(workload, (arrivalMs) => arrivalMs + random.float() * jitterMs);
}

/** Divides all arrival and think times by `factor`. */
export function speedUp(workload: Workload, factor: number): Workload {
  checkPositive('speed', factor);
  const requests = workload.requests.map((request) => ({
    ...request,
    arrivalMs: request.arrivalMs / factor,
    ...(request.after && { after: { ...request.after, thinkMs: request.after.thinkMs / factor } }),
  }));
  return orderedWorkload({ ...workload, requests });
}

/** The first requests to arrive. */
export function firstRequests(workload: Workload, requestsMax: number): Workload {
  checkPositive('requests', requestsMax);
  if (workload.requests.length <= requestsMax) return workload;
  return { ...workload, requests: workload.requests.slice(0, requestsMax) };
}

/** Moves the arrivals of requests without `after`. The others keep their distance from their predecessor. */
function moveArrivals(workload: Workload, move: (arrivalMs: number) => number): Workload {
  const moved: WorkloadRequest[] = [];
  for (const request of workload.requests) {
    const { arrivalMs, after } = request;
    const movedMs =
      after === undefined
        ? move(arrivalMs)
        : moved[after.request]!.arrivalMs + arrivalMs - workload.requests[after.request]!.arrivalMs;
    moved.push({ ...request, arrivalMs: movedMs });
  }
  return orderedWorkload({ ...workload, requests: moved });
}

function turnByTurn(requests: readonly WorkloadRequest[]): WorkloadRequest[] {
  const lastOfSession = new Map<number, number>();
  return requests.map((request, index) => {
    const { session } = request;
    if (session === undefined) return request;
    const previous = lastOfSession.get(session);
    lastOfSession.set(session, index);
    if (previous === undefined || request.after !== undefined) return request;
    return { ...request, after: { request: previous, thinkMs: 0 } };
  });
}

function processArrivalsMs(process: ArrivalProcess, count: number, random: Random): Float64Array {
  switch (process.kind) {
    case 'poisson':
      return poissonArrivalsMs(count, process.ratePerS, random);
    case 'gamma':
      return gammaArrivalsMs(count, process.ratePerS, process.cv, random);
    case 'all-at-once':
    case 'closed-loop':
      return burstArrivalsMs(count);
  }
}

function gammaArrivalsMs(count: number, ratePerS: number, cv: number, random: Random): Float64Array {
  checkPositive('ratePerS', ratePerS);
  checkPositive('cv', cv);
  const shape = 1 / cv ** 2;
  const arrivalsMs = new Float64Array(count);
  let nowMs = 0;
  for (let i = 0; i < count; i++) {
    nowMs += gamma(random, shape, 1000 / (ratePerS * shape));
    arrivalsMs[i] = nowMs;
  }
  return arrivalsMs;
}

function checkPositive(name: string, value: number): void {
  if (!(value > 0) || !Number.isFinite(value)) throw new RangeError(`${name} must be a positive number, got ${value}`);
}
