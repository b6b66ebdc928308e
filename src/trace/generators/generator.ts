// Interface and helpers of the synthetic workload generators.

import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { poissonArrivalsMs } from '../arrivals.ts';
import type { BlockNumbering } from '../block-numbering.ts';
import type { Workload, WorkloadRequest } from '../workload.ts';

export interface Generator {
  /** Mean rate of the generated arrivals. Null: all requests arrive at once. */
  readonly ratePerS: number | null;
  /** Default number of requests, if it is not the usual one. */
  readonly requestsDefault?: number;
  readonly note?: string;
  /** The same seed gives the same requests; `requestCount` decides how many. */
  generate(seed: number, requestCount: number): GeneratedWorkload;
}

export type GeneratedWorkload = Pick<Workload, 'contentBlockTokens' | 'blockIdCount' | 'requests'>;

/** A request without its arrival. */
export type Shape = Pick<WorkloadRequest, 'isl' | 'osl' | 'blockIds'>;

/** Divides the usual block sizes of engines (16, 32, 64), so that they see the same sharing as with tokens. */
export const generatedBlockTokens = 16;

/** Poisson arrivals at 1 request per second: the unit in which a load is given. */
export const unitRatePerS = 1;

/** Requests drawn one after another, with Poisson arrivals at the unit rate. */
export function poissonWorkload(
  seed: number,
  requestCount: number,
  numbering: BlockNumbering,
  makeShapes: (random: Random) => () => Shape,
): GeneratedWorkload {
  const arrivalsMs = poissonArrivalsMs(requestCount, unitRatePerS, arrivalChance(seed));
  const nextShape = makeShapes(new Random(seed));
  const requests = Array.from(arrivalsMs, (arrivalMs) => ({ arrivalMs, ...nextShape() }));
  return generated(numbering, requests);
}

/** @param contentBlockTokens if it is not the usual size */
export function generated(
  numbering: BlockNumbering,
  requests: readonly WorkloadRequest[],
  contentBlockTokens: number = generatedBlockTokens,
): GeneratedWorkload {
  return { contentBlockTokens, blockIdCount: numbering.count, requests };
}

/** Full content blocks in a run of tokens. */
export const fullBlocks = (tokenCount: number): number => Math.floor(tokenCount / generatedBlockTokens);

/** The nearest number of tokens, at least `min`. */
export const wholeTokens = (drawn: number, min = 1): number => Math.max(min, Math.round(drawn));

/** A uniform member of a list that is not empty. */
export const pick = <T>(items: readonly T[], random: Random): T => items[random.below(items.length)]!;
