// The registry of a gateway's metrics, for whatever is derived from their names.

import type { Registry } from 'prom-client';
import { resolveConfig } from '../../src/gateway/config/config.ts';
import { Pools } from '../../src/gateway/pools/pools.ts';
import { GatewayMetrics } from '../../src/gateway/telemetry/gateway-metrics.ts';
import { registerLog } from '../../src/gateway/telemetry/log-output.ts';

export function allMetrics(): Registry {
  const door = {
    connections: () => ({}),
    bodyBytes: () => 0,
    answerBytes: () => 0,
    threads: () => 0,
    shadows: () => ({ count: 0, heldBytes: 0 }),
  };
  const pools = new Pools(resolveConfig({ workers: ['http://127.0.0.1:1'] }));
  const { registry } = new GatewayMetrics(pools, [], door);
  registerLog(registry, () => 0);
  return registry;
}
