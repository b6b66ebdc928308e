// Puts a gateway together from its configuration, starts it, and ends it in order.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Logger, pino } from 'pino';
import { BlockHasher, type Router } from '../core/index.ts';
import { loadTokenizer } from '../tokens/load-tokenizer.ts';
import { type GatewayConfig, type GatewayOptions, resolveConfig } from './config.ts';
import { DecisionLog } from './decision-log.ts';
import { Engine } from './engine.ts';
import { EngineMonitor } from './engine-monitor.ts';
import type { GatewayContext } from './gateway-context.ts';
import { GatewayMetrics } from './gateway-metrics.ts';
import { Pools } from './pools.ts';
import { createGatewayServer } from './server.ts';

/** Connections that wait to be accepted: a burst of a thousand must not be refused. */
const backlogMax = 4096;
const idleSweepMs = 50;

export interface Gateway {
  readonly config: GatewayConfig;
  /** Without a slash at its end. */
  readonly url: string;
  /** Name of the tokenizer in use, or `none`. */
  readonly tokenizerName: string;
  /** The router that answers for a model; null: no worker lists it. */
  router(model: string): Router | null;
  /** Resolves once as many engines are ready; rejects after `timeoutMs`. Default: all of them. */
  whenReady(timeoutMs: number, engineCount?: number): Promise<void>;
  /** Takes no more requests, lets answers end for `shutdownGraceMs`, then breaks them off. */
  close(): Promise<void>;
}

/**
 * Starts to listen, and to look for its engines; they need not be up.
 * @throws ConfigError for a wrong setting; TokenizerError if the tokenizer can't be loaded
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const config = resolveConfig(options);
  const log = createLog(config);
  const tokenizer = config.tokenizer === 'none' ? null : await loadTokenizer(config.tokenizer);
  const pools = new Pools(config);
  const engines = config.workers.map((spec) => new Engine(spec));
  const monitors = new Map(
    engines.map((engine) => [engine, new EngineMonitor(engine, config, tokenizer, pools, log)] as const),
  );
  const context: GatewayContext = {
    config,
    tokenizer,
    hasher: new BlockHasher(),
    pools,
    engines,
    monitors,
    metrics: new GatewayMetrics(pools, engines),
    decisions: new DecisionLog(config.decisionsMax),
    log,
  };
  const server = createGatewayServer(context);
  await listen(server, config);
  const lives = [...monitors.values()].map((monitor) => monitor.run());
  let closing: Promise<void> | null = null;
  return {
    config,
    url: addressOf(server, config),
    tokenizerName: tokenizer?.name ?? 'none',
    router: (model) => [...pools].find((pool) => pool.model(model) !== undefined)?.router ?? null,
    whenReady: (timeoutMs, engineCount = engines.length) => whenReady(engines, engineCount, timeoutMs),
    close: () => {
      closing ??= (async () => {
        await closeServer(server, config.shutdownGraceMs);
        await Promise.all([...monitors.values()].map((monitor) => monitor.close()));
        await Promise.all(lives);
        await tokenizer?.close();
      })();
      return closing;
    },
  };
}

function createLog({ logLevel }: GatewayConfig): Logger {
  return pino({ level: logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
}

function listen(server: Server, { host, port }: GatewayConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, backlog: backlogMax }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function addressOf(server: Server, { host }: GatewayConfig): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function whenReady(engines: readonly Engine[], engineCount: number, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const ready = engines.filter(({ state }) => state === 'ready').length;
    if (ready >= engineCount) return;
    if (performance.now() > deadlineMs) {
      const missing = engines.filter(({ state }) => state !== 'ready');
      const reasons = missing.map(({ url, state, reason }) => `${url} is ${state}: ${reason ?? 'not reached yet'}`);
      throw new Error(`${ready} of ${engineCount} engines are ready after ${timeoutMs} ms; ${reasons.join('; ')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    // A connection whose answer has ended falls idle only then.
    const sweep = setInterval(() => server.closeIdleConnections(), idleSweepMs);
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(sweep);
      clearTimeout(timer);
      resolve();
    });
  });
}
