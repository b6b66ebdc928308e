// Queries of the demo to a running gateway: readiness of its workers, and its remaining load.

import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { z } from 'zod';

const requestTimeoutMs = 5000;
const pollMs = 50;

const workersAnswer = z.object({ workers: z.array(z.object({ url: z.string(), state: z.string() })) });

/** The part of `GET /loads` that must be zero when nothing is in flight. */
export interface Loads {
  readonly workers: readonly {
    readonly id: string;
    readonly activeBlocks: number;
    readonly activePrefillTokens: number;
    readonly runningRequests: number;
  }[];
}

const loadsAnswer: z.ZodType<Loads> = z.object({
  workers: z.array(
    z.object({
      id: z.string(),
      activeBlocks: z.number(),
      activePrefillTokens: z.number(),
      runningRequests: z.number(),
    }),
  ),
});

const modelsAnswer = z.object({ data: z.array(z.object({ id: z.string() })).min(1) });

/** @throws Error naming the workers that are not ready after `timeoutMs` */
export async function waitUntilReady(gateway: string, workerCount: number, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const { workers } = workersAnswer.parse(await getJson(gateway, '/workers'));
    if (workers.filter(({ state }) => state === 'ready').length === workerCount) return;
    if (performance.now() > deadlineMs) {
      const states = workers.map(({ url, state }) => `${url} is ${state}`).join(', ');
      throw new Error(`not all ${workerCount} workers were ready within ${timeoutMs} ms: ${states}`);
    }
    await sleep(pollMs);
  }
}

/** The first model that the gateway serves. */
export async function servedModel(gateway: string): Promise<string> {
  return modelsAnswer.parse(await getJson(gateway, '/v1/models')).data[0]!.id;
}

/** Polls the loads until they are zero, at most `timeoutMs`. @returns the last loads */
export async function loadsAtRest(gateway: string, timeoutMs: number): Promise<Loads> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const loads = loadsAnswer.parse(await getJson(gateway, '/loads'));
    if (loadsAreZero(loads) || performance.now() > deadlineMs) return loads;
    await sleep(pollMs);
  }
}

export function loadsAreZero({ workers }: Loads): boolean {
  return workers.every(
    (load) => load.activeBlocks === 0 && load.activePrefillTokens === 0 && load.runningRequests === 0,
  );
}

async function getJson(gateway: string, path: string): Promise<unknown> {
  const response = await request(new URL(path, gateway), {
    headersTimeout: requestTimeoutMs,
    bodyTimeout: requestTimeoutMs,
  });
  if (response.statusCode === 200) return await response.body.json();
  throw new Error(`GET ${gateway}${path} answered ${response.statusCode}: ${await response.body.text()}`);
}
