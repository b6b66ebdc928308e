// Reloads: a new configuration is read and checked as a whole before any of it is applied.

import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { laterTurn } from '../../tokens/in-pieces.ts';
import { ConfigError, type GatewayConfig, type GatewayOptions, resolveConfig } from './config.ts';
import type { ConfigChanges, LiveConfig } from './live-config.ts';
import { isGuarded } from './operator-guard.ts';
import { type ReferencedFiles, readReferencedFiles } from './referenced-files.ts';

/**
 * @param prepare loads what the configuration needs besides its files; rejects with an error that has a code if it can't
 * @returns null if the configuration is invalid; then nothing has changed
 */
export async function reload(
  live: LiveConfig,
  load: () => GatewayOptions | Promise<GatewayOptions>,
  prepare: (next: GatewayConfig) => Promise<void>,
  apply: (config: GatewayConfig, files: ReferencedFiles) => void,
  log: Logger,
): Promise<ConfigChanges | null> {
  let next: GatewayConfig;
  let files: ReferencedFiles;
  try {
    const options = await load();
    // Checking a thousand workers takes tens of milliseconds: each step has a turn of the event loop.
    await laterTurn();
    next = resolveConfig(options);
    await laterTurn();
    files = await readReferencedFiles(next);
    refuseOpening(live.current, next);
    await prepare(live.after(next));
    await laterTurn();
  } catch (error) {
    const faults = error instanceof ConfigError ? error.faults : [{ setting: '', message: (error as Error).message }];
    const reasons = faults.map(({ setting, message }) => `${setting} ${message}`.trim());
    // Errors that are expected here have a code.
    const isOwnFault = !(error instanceof ConfigError) && (error as { code?: unknown }).code === undefined;
    log.error({ reasons, ...(isOwnFault && { err: error }) }, 'configuration refused; nothing changed');
    return null;
  }
  const changes = live.replace(next);
  apply(live.current, files);
  log.info({ changed: changes.changed }, 'configuration reloaded');
  if (changes.needRestart.length > 0) {
    log.warn({ settings: changes.needRestart }, 'settings not changed; they need a restart');
  }
  return changes;
}

/**
 * A truncated file may still be a valid configuration, so a reload must not make keys optional.
 * @throws ConfigError
 */
function refuseOpening(before: GatewayConfig, next: GatewayConfig): void {
  const needsKey = ({ apiKeys, apiKeysFile }: GatewayConfig): boolean => apiKeys.length > 0 || apiKeysFile !== null;
  if (needsKey(before) && !needsKey(next)) {
    throw new ConfigError(
      'apiKeys',
      'are missing, and a reload must not open the gateway to clients without a key: restart to do so',
    );
  }
  if (before.clientCaFile !== null && next.clientCaFile === null) {
    throw new ConfigError(
      'clientCaFile',
      'is missing, and a reload must not change how clients prove who they are: restart to do so',
    );
  }
  if (isGuarded(before) && !isGuarded(next)) {
    throw new ConfigError(
      before.adminKey === null ? 'adminCertificates' : 'adminKey',
      'is missing, and a reload must not admit operators without a key: restart to do so',
    );
  }
}

/** Runs reloads one after the other: a slow one must not overwrite the result of a later one. */
export class ReloadQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/**
 * Calls `onChange` when one of the files has changed. Polling also finds replaced files and moved links, as Kubernetes
 * makes them.
 * @param paths called at every poll
 * @returns stops the polling
 */
export function followFiles(paths: () => readonly string[], intervalMs: number, onChange: () => void): () => void {
  let before: string | null = null;
  let closed = false;
  const look = async (): Promise<void> => {
    const marks = await Promise.all(paths().map(markOf));
    if (closed) return;
    const now = marks.join('\n');
    if (before !== null && now !== before) onChange();
    before = now;
    timer = setTimeout(look, intervalMs).unref();
  };
  let timer = setTimeout(look, 0).unref();
  return () => {
    closed = true;
    clearTimeout(timer);
  };
}

/** A text that differs when the file has changed, judged by its directory entry. */
async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${path} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code}`;
  }
}
