// Measures the longest turn of this thread's event loop.

import { readFileSync } from 'node:fs';

/**
 * Processor time of this thread in ms, so that what else runs on the machine does not count; where the system does not
 * tell it, the time.
 */
function threadMs(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0]) / 1e6;
  } catch {
    return performance.now();
  }
}

/** The longest turn of the loop while `work` goes on, in milliseconds. */
export async function longestTurnMs(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let lastMs = threadMs();
  let isOver = false;
  const next = (): void => {
    const nowMs = threadMs();
    longest = Math.max(longest, nowMs - lastMs);
    lastMs = nowMs;
    if (!isOver) setImmediate(next);
  };
  setImmediate(next);
  await work();
  isOver = true;
  return longest;
}
