// What a test of a feed's batches need not hear of.

import { expect } from 'vitest';

export const unheard = {
  lost: (): void => undefined,
  dead: (): void => undefined,
  alive: (): void => undefined,
  closed: (): void => undefined,
  failed: (error: unknown): void => expect.fail(`a batch could not be applied: ${String(error)}`),
};
