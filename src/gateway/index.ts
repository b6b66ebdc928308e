// The gateway as a library: start one inside another program.

export {
  ConfigError,
  type ConfigFault,
  type GatewayConfig,
  type GatewayOptions,
  type LogLevel,
  logLevels,
} from './config.ts';
export type { EngineSpec } from './engine-spec.ts';
export { type Gateway, type GatewaySurroundings, startGateway } from './gateway.ts';
export type { ConfigChanges } from './live-config.ts';
export type { Resolve } from './worker-discovery.ts';
