// What a generator of a synthetic workload is: requests from a seed, at a rate of its own.
import { Random } from '../../core/random.ts';
import { arrivalChance } from '../arrival-process.ts';
import { poissonArrivalsMs } from '../arrivals.ts';
import type { BlockNumbering } from '../block-numbering.ts';
import type { Workload, WorkloadRequest } from '../workload.ts';

export interface Generator {
  /** Mean rate of what `generate` makes; null: all requests arrive at once. */
  readonly ratePerS: number | null;
  /** Where it is not the usual number. */
  readonly requestsDefault?: number;
  readonly note?: string;
  /** Same seed: the same requests, of which more or fewer are asked for. */
  generate(seed: number, requestCount: number): GeneratedWorkload;
}

export type GeneratedWorkload = Pick<Workload, 'contentBlockTokens' | 'blockIdCount' | 'requests'>;

/** A request without its arrival. */
export type Shape = Pick<WorkloadRequest, 'isl' | 'osl' | 'blockIds'>;

/** Divides the block sizes of engines (16, 32, 64), so that they see the same sharing as from tokens. */
export const CONTENT_BLOCK_TOKENS = 16;

/** Poisson at 1 request a second: the unit in which a load is then given. */
export const UNIT_RATE_PER_S = 1;

/** Requests drawn one after another, at Poisson arrivals of the unit rate. */
export function poissonWorkload(
  seed: number,
  requestCount: number,
  numbering: BlockNumbering,
  makeShapes: (random: Random) => () => Shape,
): GeneratedWorkload {
  const arrivalsMs = poissonArrivalsMs(requestCount, UNIT_RATE_PER_S, arrivalChance(seed));
  const nextShape = makeShapes(new Random(seed));
  const requests = Array.from(arrivalsMs, (arrivalMs) => ({ arrivalMs, ...nextShape() }));
  return generated(numbering, requests);
}

/** @param contentBlockTokens where it is not the usual size */
export function generated(
  numbering: BlockNumbering,
  requests: readonly WorkloadRequest[],
  contentBlockTokens: number = CONTENT_BLOCK_TOKENS,
): GeneratedWorkload {
  return { contentBlockTokens, blockIdCount: numbering.count, requests };
}

/** Full content blocks in a run of tokens. */
export const fullBlocks = (tokenCount: number): number => Math.floor(tokenCount / CONTENT_BLOCK_TOKENS);

/** The nearest number of tokens, at least `min`. */
export const wholeTokens = (drawn: number, min = 1): number => Math.max(min, Math.round(drawn));

/** A uniform member of a list that is not empty. */
export const pick = <T>(items: readonly T[], random: Random): T => items[random.below(items.length)]!;
