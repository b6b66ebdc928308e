// What the log says at the start: who has access, and whether the process may open enough connections.

import type { Logger } from 'pino';
import type { GatewayConfig } from '../config/config.ts';
import { describeAccess } from './describe-access.ts';
import { descriptorWarning } from './descriptor-limit.ts';

export function announce(log: Logger, config: GatewayConfig, keyCount: number, adminUrl: string | null): void {
  for (const { loud, message } of describeAccess(config, keyCount, adminUrl)) log[loud ? 'warn' : 'info'](message);
  const warning = descriptorWarning(config.connectionsMax);
  if (warning !== null) log.warn(warning);
}
