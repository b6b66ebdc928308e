// Answers a request at the pool that its model's name leads to, and at the next one if that pool has no worker left.

import { RequestError } from '../../wire/openai-error.ts';
import type { Requester } from '../exchange/exchange.ts';
import type { ResolvedModel } from '../pools/pools.ts';
import type { Placeable } from './admission-applicant.ts';
import type { RoutingOverrides } from './routing-overrides.ts';
import { Tries } from './tries.ts';

/** Decides draws between targets: the same for all requests of a session, else for each request its own. */
export function drawKey({ session }: Pick<RoutingOverrides, 'session'>, requestId: string): string {
  return session ?? requestId;
}

/**
 * @param again resolves the name anew, to null if the client is gone; null: it leads to one pool only
 * @param serve rejects with a RequestError if nothing of an answer has been sent
 * @throws what `serve` throws at the last pool
 */
export async function overRoutes<T extends ResolvedModel & Pick<Placeable, 'isHeld'>>(
  exchange: Pick<Requester, 'gone'>,
  first: T,
  again: (() => T | null | Promise<T | null>) | null,
  serve: (intake: T, tries: Tries) => Promise<unknown>,
): Promise<void> {
  const tries = new Tries();
  const seen: T[] = [];
  for (let intake = first; ; ) {
    seen.push(intake);
    try {
      await serve(intake, tries);
      return;
    } catch (error) {
      const movable = error instanceof RequestError && error.status >= 502 && intake.route !== null && !intake.isHeld;
      if (!movable || again === null || tries.over || exchange.gone) throw error;
      const next = await again();
      const isNew = next !== null && !seen.some(({ pool, model }) => pool === next.pool && model === next.model);
      // Only once the pool has no worker: an error of one that is there is the client's to see.
      if (!isNew || intake.pool.takes(intake.model)) throw error;
      intake = next;
    }
  }
}
