// Listener methods that tests of batches ignore.

import { expect } from 'vitest';

export const unheard = {
  lost: (): void => undefined,
  dead: (): void => undefined,
  alive: (): void => undefined,
  closed: (): void => undefined,
  failed: (error: unknown): void => expect.fail(`a batch could not be applied: ${String(error)}`),
};
