// The monotonic clock that all processes of one machine share, against this process's `performance.now()`.

const nanosecondsPerMs = 1e6;

/** The machine's monotonic clock minus this process's. */
const aheadMs: number = Number(process.hrtime.bigint()) / nanosecondsPerMs - performance.now();

/** @param nowMs as of this process's `performance.now()` */
export function toSharedMs(nowMs: number): number {
  return nowMs + aheadMs;
}

/** @returns as of this process's `performance.now()` */
export function toOwnMs(sharedMs: number): number {
  return sharedMs - aheadMs;
}
