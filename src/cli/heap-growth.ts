// How far the heap of a gateway process may grow before V8 collects all of it.

import { setFlagsFromString } from 'node:v8';

/**
 * V8's own choice, some 70 percent of a heap of 33 MB, leaves 7 MB until the next full collection, since buffers and room
 * for the young generation count too. That is 80 to 160 requests with prompts of 6,400 tokens (docs/performance.md).
 */
const growthPercent = 150;
/** A larger heap, buffers included, grows as V8 likes: for it, this growth would take too much memory. */
const smallHeapBytesMax = 128 * 1024 * 1024;
const intervalMs = 1000;
/** Known to V8 from Node 20 to 24 at least; an unknown flag would be reported on stderr and have no effect. */
export const growthFlag = '--heap-growing-percent';

/** For the whole process, as long as it runs. Does nothing if Node was started with this flag. */
export function collectSmallHeapsLessOften(): void {
  if (process.execArgv.some((argument) => argument.startsWith(growthFlag))) return;
  const follow = (): void => {
    // V8 lets buffers grow by the same factor. The memory of kernels, which V8 counts with them, does not change.
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const isSmall = heapUsed + arrayBuffers <= smallHeapBytesMax;
    // 0: V8 decides.
    setFlagsFromString(`${growthFlag}=${isSmall ? growthPercent : 0}`);
  };
  follow();
  setInterval(follow, intervalMs).unref();
}
