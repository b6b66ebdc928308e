// Sends a workload in an open loop: each request at its own time.

import { setMaxListeners } from 'node:events';
import type { RequestRecord } from '../report/request-record.ts';
import type { LoadRequest } from './load-request.ts';
import type { LoadClient } from './spread-client.ts';

export interface LoadProgress {
  readonly sent: number;
  readonly done: number;
  readonly failed: number;
  readonly total: number;
}

export interface LoadOptions {
  /** Aborts the requests in flight. Requests not sent yet are recorded as aborted too. */
  readonly signal?: AbortSignal;
  /** Called after a request was sent or has ended. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/**
 * Sends each request at its `arrivalMs`, regardless of earlier ones. Latencies count from the scheduled arrival.
 * @returns one record for each request, in the order given
 */
export async function runOpenLoop(
  client: LoadClient,
  requests: readonly LoadRequest[],
  options: LoadOptions = {},
): Promise<RequestRecord[]> {
  const tracked = new TrackedSends(client, requests, options);
  const originMs = client.now();
  const order = requests.map((_, at) => at).sort((a, b) => requests[a]!.arrivalMs - requests[b]!.arrivalMs || a - b);
  for (const at of order) {
    const startMs = originMs + requests[at]!.arrivalMs;
    await sleepUntil(startMs, client.now, options.signal);
    tracked.send(at, startMs);
  }
  return tracked.records();
}

class TrackedSends {
  readonly #client: LoadClient;
  readonly #requests: readonly LoadRequest[];
  readonly #options: LoadOptions;
  readonly #pending: Promise<RequestRecord>[] = [];
  #sent = 0;
  #done = 0;
  #failed = 0;

  constructor(client: LoadClient, requests: readonly LoadRequest[], options: LoadOptions) {
    this.#client = client;
    this.#requests = requests;
    this.#options = options;
    // One listener per request in flight is not a leak.
    if (options.signal !== undefined) setMaxListeners(0, options.signal);
  }

  send(at: number, startMs: number): void {
    this.#pending[at] = this.#client.send(this.#requests[at]!, this.#options.signal, startMs).then((record) => {
      this.#done++;
      if (record.failure !== null) this.#failed++;
      this.#report();
      return record;
    });
    this.#sent++;
    this.#report();
  }

  records(): Promise<RequestRecord[]> {
    return Promise.all(this.#pending);
  }

  #report(): void {
    this.#options.onProgress?.({
      sent: this.#sent,
      done: this.#done,
      failed: this.#failed,
      total: this.#requests.length,
    });
  }
}

/** Returns without yielding if the time has come, so that a burst is sent at once. */
async function sleepUntil(timeMs: number, now: () => number, signal: AbortSignal | undefined): Promise<void> {
  for (let leftMs = timeMs - now(); leftMs > 0 && signal?.aborted !== true; leftMs = timeMs - now()) {
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, leftMs);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }
}
