// Starts and stops the engines and gateways of an end-to-end test, and asserts at the end that no load is left.

import { request as httpRequest, type IncomingMessage } from 'node:http';
import { expect } from 'vitest';
import { type Gateway, type GatewayOptions, type GatewaySurroundings, startGateway } from '../../src/gateway/index.ts';
import { FakeEngine, type FakeEngineOptions } from './fake-engine.ts';

export interface LoadsAnswer {
  readonly workers: readonly {
    readonly id: string;
    readonly activeBlocks: number;
    readonly activePrefillTokens: number;
    readonly runningRequests: number;
    readonly viewEpoch: number;
    readonly heldBlocks: number;
  }[];
}

/** Collects gateways and engines of one test; `end` asserts that no load is left, then closes all. */
export class Harness {
  readonly #gateways: { readonly gateway: Gateway; readonly models: readonly string[] }[] = [];
  readonly #engines: FakeEngine[] = [];

  async engine(options: FakeEngineOptions = {}): Promise<FakeEngine> {
    const engine = await FakeEngine.start(options);
    this.#engines.push(engine);
    return engine;
  }

  async engines(count: number, options: FakeEngineOptions = {}): Promise<FakeEngine[]> {
    return Promise.all(Array.from({ length: count }, () => this.engine(options)));
  }

  /** @param models whose routers are checked at the end */
  async gateway(
    options: GatewayOptions,
    readyCount?: number,
    models: readonly string[] = ['fake'],
    surroundings: GatewaySurroundings = {},
  ): Promise<Gateway> {
    const defaults = { port: 0, canary: false, logLevel: 'silent', probeIntervalMs: 25, shutdownGraceMs: 200 } as const;
    const gateway = await startGateway({ ...defaults, ...options }, surroundings);
    this.#gateways.push({ gateway, models });
    await gateway.whenReady(10_000, readyCount);
    return gateway;
  }

  async end(): Promise<void> {
    for (const { gateway, models } of this.#gateways) {
      await eventually(() => models.every((model) => (gateway.router(model)?.liveBookings ?? 0) === 0));
      for (const model of models) {
        const router = gateway.router(model);
        router?.assertConsistent();
        for (const load of router?.loads() ?? []) {
          expect(load).toMatchObject({ activeBlocks: 0, activePrefillTokens: 0, runningRequests: 0 });
        }
      }
    }
    await Promise.all(this.#gateways.map(({ gateway }) => gateway.close()));
    await Promise.all(this.#engines.map((engine) => engine.close()));
  }
}

/** Waits until `condition` holds, for at most `timeoutMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`not so within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function loads(gateway: Gateway): Promise<LoadsAnswer> {
  return (await getJson(gateway, '/loads')) as LoadsAnswer;
}

/** Asserts that every load becomes zero within `timeoutMs`. */
export async function atRest(gateway: Gateway, timeoutMs = 5000): Promise<void> {
  await eventually(async () => {
    const { workers } = await loads(gateway);
    return workers.every(
      (load) => load.activeBlocks === 0 && load.activePrefillTokens === 0 && load.runningRequests === 0,
    );
  }, timeoutMs);
}

export async function getJson(gateway: Gateway, path: string): Promise<unknown> {
  return (await fetch(gateway.adminUrl + path)).json();
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export function post(
  gateway: Gateway,
  path: string,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(gateway.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0, headers: answered } = response;
        resolve({ status: statusCode, headers: answered, body: Buffer.concat(chunks).toString('utf8') });
      });
    });
    request.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
}

export const chatBody = { model: 'fake', messages: [{ role: 'user', content: 'hello there, how are you today?' }] };
