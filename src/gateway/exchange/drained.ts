// Waits until a client has read what was written to it, or is gone.

import type { EventEmitter } from 'node:events';

/** Leaves no listener behind: a connection may wait any number of times. */
export function drained(response: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      response.off('drain', end).off('close', end);
      resolve();
    };
    response.on('drain', end).on('close', end);
  });
}
