// Reloads: another configuration is read and checked as a whole before anything of it is applied.

import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ConfigError, type GatewayConfig, type GatewayOptions, resolveConfig } from './config.ts';
import type { ConfigChanges, LiveConfig } from './live-config.ts';
import { type ReferencedFiles, readReferencedFiles } from './referenced-files.ts';

/** @returns null if the configuration can't be used; nothing has changed then */
export async function reload(
  live: LiveConfig,
  load: () => GatewayOptions | Promise<GatewayOptions>,
  apply: (config: GatewayConfig, files: ReferencedFiles) => void,
  log: Logger,
): Promise<ConfigChanges | null> {
  let next: GatewayConfig;
  let files: ReferencedFiles;
  try {
    next = resolveConfig(await load());
    files = await readReferencedFiles(next);
    refuseOpening(live.current, next);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const reasons = error.faults.map(({ setting, message }) => `${setting} ${message}`.trim());
    log.error({ reasons }, 'configuration refused; nothing has changed');
    return null;
  }
  const changes = live.replace(next);
  apply(live.current, files);
  log.info({ changed: changes.changed }, 'configuration reloaded');
  if (changes.needRestart.length > 0) {
    log.warn({ settings: changes.needRestart }, 'only a restart changes these settings; they stay as they were');
  }
  return changes;
}

/**
 * A file that was cut short may be a configuration, too: what needed a key before the reload needs one after it.
 * @throws ConfigError
 */
function refuseOpening(before: GatewayConfig, next: GatewayConfig): void {
  const needsKey = ({ apiKeys, apiKeysFile }: GatewayConfig): boolean => apiKeys.length > 0 || apiKeysFile !== null;
  if (needsKey(before) && !needsKey(next)) {
    throw new ConfigError('apiKeys', 'are gone: only a restart opens the gateway to clients without a key');
  }
  if (before.adminKey !== null && next.adminKey === null) {
    throw new ConfigError('adminKey', 'is gone: only a restart lets operators in without a key');
  }
}

/** One reload after the other: a slow one must not overwrite what a later one has brought. */
export class ReloadQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/**
 * Calls back when one of the files has changed, as seen by looking again and again: that finds files that are
 * replaced, and links that are moved, as Kubernetes does it.
 * @param paths asked for at every look
 * @returns ends it
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

/** Differs whenever the file does, as far as its directory entry tells. */
async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${path} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code}`;
  }
}
