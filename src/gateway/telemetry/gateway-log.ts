// The gateway's log: lines of JSON on stderr.

import { type DestinationStream, type Logger, pino } from 'pino';
import type { GatewayConfig } from '../config/config.ts';
import { logToStderr } from './log-output.ts';

/** @param base fields of every line @param logTo default: stderr */
export function createLog(
  { logLevel }: Pick<GatewayConfig, 'logLevel'>,
  base: Readonly<Record<string, unknown>> | null = null,
  logTo?: DestinationStream,
): Logger {
  return pino({ level: logLevel, base }, logTo ?? logToStderr());
}
