import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type LoadProgress, runOpenLoop } from '../../src/load/run-load.ts';
import { doneEvent, request, startStream, tokenEvent, usageEvent, withClient } from './sse-server.ts';

const requests = (count: number, arrivalMs: (index: number) => number = () => 0) =>
  Array.from({ length: count }, (_, index) => request(index, arrivalMs(index)));

describe('runOpenLoop', () => {
  it('sends 1,024 requests at once without a failure', async () => {
    let atOnce = 0;
    let atOnceMost = 0;
    const records = await withClient(
      async (response) => {
        atOnceMost = Math.max(atOnceMost, ++atOnce);
        while (atOnceMost < 1024) await sleep(20);
        startStream(response);
        response.end(tokenEvent('a') + tokenEvent('b') + usageEvent(10, 2, 5) + doneEvent);
      },
      (client) => runOpenLoop(client, requests(1024)),
    );
    expect(atOnceMost).toBe(1024);
    expect(records.map((record) => record.index)).toEqual(Array.from({ length: 1024 }, (_, index) => index));
    expect(records.filter((record) => record.failure !== null)).toEqual([]);
    expect(records.every((record) => record.outputTokens === 2 && record.cachedTokens === 5)).toBe(true);
  });

  it('sends on schedule, whatever the order and the answers, and counts from the schedule', async () => {
    const records = await withClient(
      async (response) => {
        await sleep(120);
        startStream(response);
        response.end(tokenEvent('a') + doneEvent);
      },
      (client) =>
        runOpenLoop(
          client,
          requests(4, (index) => (3 - index) * 30),
        ),
    );
    const originMs = records[3]!.startMs;
    expect(records.map((record) => Math.round(record.startMs - originMs))).toEqual([90, 60, 30, 0]);
    for (const record of records) {
      expect(record.sentMs).toBeGreaterThanOrEqual(record.startMs);
      expect(record.failure).toBeNull();
    }
  });

  it('ends at the signal with a record for every request', async () => {
    const abort = new AbortController();
    const seen: LoadProgress[] = [];
    const records = await withClient(
      () => abort.abort(),
      (client) =>
        runOpenLoop(
          client,
          requests(3, (index) => index * 60_000),
          {
            signal: abort.signal,
            onProgress: (progress) => seen.push(progress),
          },
        ),
    );
    expect(records.map((record) => record.failure?.kind)).toEqual(['aborted', 'aborted', 'aborted']);
    expect(seen.at(-1)).toEqual({ sent: 3, done: 3, failed: 3, total: 3 });
  });
});
