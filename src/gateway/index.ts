// The gateway as a library: start one inside another program.

export {
  ConfigError,
  type GatewayConfig,
  type GatewayOptions,
  type LogLevel,
  logLevels,
} from './config.ts';
export type { EngineSpec } from './engine-spec.ts';
export { type Gateway, startGateway } from './gateway.ts';
