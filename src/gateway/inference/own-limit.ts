// Errors of connections that are no fault of the engine: this process, or this machine, may open no more files.

import { isOwnLack } from '../engines/engine-probe.ts';
import { LimitReached } from '../exchange/limit-reached.ts';

/** @param error of a connection that was not established @returns null: it is the engine's */
export function ownLimit(error: Error): LimitReached | null {
  if (!isOwnLack((error as { readonly code?: string }).code)) return null;
  const message = 'the gateway may open no more connections (ulimit -n)';
  return new LimitReached('openFilesMax', 503, 'no_open_files', message, 1);
}
