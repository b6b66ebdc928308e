// The gateway as a library, to start it inside another program.

export {
  ConfigError,
  type GatewayConfig,
  type GatewayOptions,
} from './config/config.ts';
export type { ConfigFault } from './config/config-fault.ts';
export type { EngineSpec } from './config/engine-spec.ts';
export type { ConfigChanges } from './config/live-config.ts';
export { type LogLevel, logLevels } from './config/settings.ts';
export type { Resolve } from './fleet/worker-discovery.ts';
export { type Gateway, type GatewaySurroundings, startGateway } from './gateway.ts';
export type { Examine } from './page/doctor-desk.ts';
export type { RunWhatIf } from './page/what-if-desk.ts';
