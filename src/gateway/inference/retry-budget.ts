// Limits retries to a share of recent requests. Retries after a worker's death are not counted.

const windowS = 10;
const shareMax = 0.2;
/** Always allowed, so that a retry is possible when requests are rare. */
const retriesMin = 10;

interface Second {
  second: number;
  requests: number;
  retries: number;
}

export class RetryBudget {
  /** One entry per second, reused after `windowS` seconds. */
  readonly #seconds: Second[] = Array.from({ length: windowS }, () => ({ second: -1, requests: 0, retries: 0 }));

  request(nowMs: number): void {
    this.#at(nowMs).requests += 1;
  }

  /** Takes one retry. @returns false if the budget is spent */
  take(nowMs: number): boolean {
    const now = this.#at(nowMs);
    let requests = 0;
    let retries = 0;
    for (const entry of this.#seconds) {
      if (entry.second <= now.second - windowS) continue;
      requests += entry.requests;
      retries += entry.retries;
    }
    if (retries >= Math.max(retriesMin, requests * shareMax)) return false;
    now.retries += 1;
    return true;
  }

  #at(nowMs: number): Second {
    const second = Math.floor(nowMs / 1000);
    const entry = this.#seconds[second % windowS]!;
    if (entry.second !== second) {
      entry.second = second;
      entry.requests = 0;
      entry.retries = 0;
    }
    return entry;
  }
}
