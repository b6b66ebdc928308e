// Compares `connectionsMax` with the process's limit on open files.

import { readFileSync } from 'node:fs';

/** For files, listeners, KV event connections and probes. */
const spareDescriptors = 256;

/**
 * A warning if the process may not open enough files, else null. Each client connection may need another to an engine.
 */
export function descriptorWarning(connectionsMax: number): string | null {
  const max = openFilesMax();
  const needed = 2 * connectionsMax + spareDescriptors;
  if (max === null || max >= needed) return null;
  return `this process may open ${max} files, but ${connectionsMax} connections need ${needed}: raise the limit (ulimit -n) or lower connectionsMax`;
}

/** Null if the system does not say. */
function openFilesMax(): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    if (soft === undefined) return null;
    return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    // Only Linux has this file.
    return null;
  }
}
